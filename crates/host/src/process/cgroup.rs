//! What `/proc/PID/cgroup` (cgroups(7)) tells: lines of `hierarchy:controllers:path`.

/// Hexadecimal digits in the id of a container.
const CONTAINER_ID: usize = 64;

fn paths(content: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], &[u8])> {
    content.split(|b| *b == b'\n').filter_map(|line| {
        let mut parts = line.splitn(3, |b| *b == b':');
        Some((parts.next()?, parts.next()?, parts.next()?))
    })
}

/// The path in the one hierarchy of version 2, else in the one that systemd named.
pub(crate) fn path(content: &[u8]) -> Option<&[u8]> {
    let v2 = paths(content).find(|(id, controllers, _)| *id == b"0" && controllers.is_empty());
    let named = || paths(content).find(|(_, controllers, _)| *controllers == b"name=systemd");
    Some(v2.or_else(named)?.2)
}

/// The id of the innermost container: 64 hexadecimal digits that docker, containerd, CRI-O, podman and
/// Kubernetes put into the path. A monitor of podman, which stands outside, bears its container's id too.
pub(crate) fn container_id(content: &[u8]) -> Option<&[u8]> {
    let in_path = |path| {
        let mut runs = <[u8]>::split(path, |b: &u8| !matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        runs.rfind(|run| run.len() == CONTAINER_ID)
    };
    paths(content)
        .filter(|(_, _, path)| !path.windows(7).any(|w| w == b"conmon-"))
        .find_map(|(.., p)| in_path(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_version_2_comes_first() {
        assert_eq!(path(b"1:name=systemd:/a\n0::/user.slice/x:y\n"), Some(&b"/user.slice/x:y"[..]));
        assert_eq!(path(b"4:cpu,cpuacct:/c\n1:name=systemd:/a\n"), Some(&b"/a"[..]));
        assert_eq!(path(b"4:cpu:/c\n"), None);
        assert_eq!(path(b""), None);
    }

    #[test]
    fn a_container_is_told_by_its_64_digits() {
        let (a, b) = ("0a".repeat(32), "1b".repeat(32));
        let id = |path: String| {
            let content = format!("0::{path}\n");
            container_id(content.as_bytes()).map(|id| String::from_utf8(id.to_vec()).unwrap())
        };
        assert_eq!(id(format!("/system.slice/docker-{a}.scope")), Some(a.clone()));
        assert_eq!(id(format!("/docker/{a}/docker/{b}")), Some(b.clone()));
        assert_eq!(id(format!("/kubepods.slice/cri-containerd-{a}.scope/x")), Some(a.clone()));
        assert_eq!(id(format!("/machine.slice/libpod-{a}.scope/container")), Some(a.clone()));
        assert_eq!(id(format!("/machine.slice/libpod-conmon-{a}.scope")), None);
        assert_eq!(id(format!("/docker/{a}0")), None);
        assert_eq!(id("/user.slice/user-0.slice".into()), None);
    }
}
