use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use crate::machine::{Machine, assert_same, line};
use crate::outside::{needs, told_text};

/// A socket as ss tells of it.
struct Told {
    kind: String,
    state: String,
    local: (String, String),
    remote: (String, String),
    inode: String,
    /// Process and descriptor, of each that holds it.
    users: Vec<(i64, i64)>,
}

/// What ss says of every TCP and UDP socket.
fn told() -> Vec<Told> {
    let mut all = Vec::new();
    // Without -O a socket takes two lines.
    for said in told_text("ss", &["-H", "-a", "-n", "-t", "-u", "-p", "-e", "-O"]).lines() {
        let words: Vec<_> = said.split_whitespace().collect();
        let end = |at: usize| {
            let (address, port) = words[at].rsplit_once(':').unwrap();
            let address = address.split('%').next().unwrap().trim_matches(['[', ']']);
            // ss writes a star for "any address of both families".
            (if address == "*" { "::" } else { address }.to_owned(), port.replace('*', "0"))
        };
        let inode = words.iter().find_map(|word| word.strip_prefix("ino:")).unwrap_or("0");
        let number = |text: &str| text.split([',', ')']).next().unwrap().parse().unwrap();
        let users = said.split("pid=").skip(1).map(|user| {
            let fd = user.split("fd=").nth(1).unwrap();
            (number(user), number(fd))
        });
        all.push(Told {
            kind: words[0].to_owned(),
            state: words[1].to_owned(),
            local: end(4),
            remote: end(5),
            inode: inode.to_owned(),
            users: users.collect(),
        });
    }
    all
}

fn inode(socket: &impl AsFd) -> String {
    rustix::fs::fstat(socket).unwrap().st_ino.to_string()
}

fn protocol(kind: &str) -> &'static str {
    if kind == "tcp" { "6" } else { "17" }
}

fn family(address: &str) -> &'static str {
    if address.contains(':') { "10" } else { "2" }
}

fn state(told: &Told) -> &str {
    match (told.kind.as_str(), told.state.as_str()) {
        ("udp", _) => "",
        (_, "ESTAB") => "ESTABLISHED",
        (_, "CLOSE-WAIT") => "CLOSE_WAIT",
        (_, state) => state,
    }
}

#[test]
fn what_listens_is_what_ss_says() {
    if !needs("ss") {
        return;
    }
    let tcp = ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"].map(|at| TcpListener::bind(at).unwrap());
    let udp = ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"].map(|at| UdpSocket::bind(at).unwrap());
    let second = tcp[0].try_clone().unwrap();
    let inodes: Vec<_> = tcp.iter().map(inode).chain(udp.iter().map(inode)).collect();
    let mut theirs = Vec::new();
    for socket in told().iter().filter(|socket| inodes.contains(&socket.inode)) {
        let (protocol, family) = (protocol(&socket.kind), family(&socket.local.0));
        for (pid, fd) in &socket.users {
            let (address, port) = &socket.local;
            theirs.push(format!("{pid}|{fd}|{}|{protocol}|{family}|{address}|{port}", socket.inode));
        }
    }
    let sql = format!(
        "SELECT pid, fd, socket, protocol, family, address, port FROM listening_ports WHERE socket IN ({})",
        inodes.join(", ")
    );
    let ours = Machine::live().lines(&sql);
    assert_eq!(ours.len(), 9);
    assert_same(&ours, &theirs, "listening_ports");
    drop(second);
}

#[test]
fn open_sockets_are_what_ss_says() {
    if !needs("ss") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let six = TcpListener::bind("[::1]:0").unwrap();
    let six_client = TcpStream::connect(six.local_addr().unwrap()).unwrap();
    // Its peer is gone.
    drop(six.accept().unwrap());
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect(listener.local_addr().unwrap()).unwrap();
    let mut inodes = vec![inode(&listener), inode(&six), inode(&udp)];
    inodes.extend([&client, &server, &six_client].map(inode));
    let mut theirs = Vec::new();
    for socket in told().iter().filter(|socket| inodes.contains(&socket.inode)) {
        let ((local, local_port), (remote, remote_port)) = (&socket.local, &socket.remote);
        // ss writes "0.0.0.0:*" for no peer.
        let (protocol, family, state) = (protocol(&socket.kind), family(local), state(socket));
        for (pid, fd) in &socket.users {
            theirs.push(format!(
                "{pid}|{fd}|{}|{family}|{protocol}|{local}|{local_port}|{remote}|{remote_port}|{state}",
                socket.inode
            ));
        }
    }
    let sql = format!(
        "SELECT pid, fd, socket, family, protocol, local_address, local_port, remote_address, remote_port, state
         FROM process_open_sockets WHERE pid = {} AND socket IN ({})",
        std::process::id(),
        inodes.join(", ")
    );
    let ours = Machine::live().lines(&sql);
    assert_eq!(ours.len(), 6);
    assert_same(&ours, &theirs, "process_open_sockets");
}

#[test]
fn unix_sockets_bear_their_names() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a socket");
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    let (server, _) = listener.accept().unwrap();
    let (one, other) = UnixStream::pair().unwrap();
    let name = path.to_str().unwrap();
    let sockets = [
        (listener.as_raw_fd(), inode(&listener), name),
        (client.as_raw_fd(), inode(&client), ""),
        (server.as_raw_fd(), inode(&server), name),
        (one.as_raw_fd(), inode(&one), ""),
        (other.as_raw_fd(), inode(&other), ""),
    ];
    let inodes = sockets.iter().map(|(_, inode, _)| inode.as_str()).collect::<Vec<_>>().join(", ");
    let theirs: Vec<_> = sockets.iter().map(|(fd, inode, path)| format!("{fd}|{inode}|1|{path}")).collect();
    let me = std::process::id();
    let mut machine = Machine::live();
    let of = |table: &str| {
        format!("SELECT fd, socket, family, path FROM {table} WHERE pid = {me} AND socket IN ({inodes})")
    };
    assert_same(&machine.lines(&of("process_open_sockets")), &theirs, "process_open_sockets");
    let listening = machine.answer(&of("listening_ports")).rows;
    assert_eq!(listening.iter().map(|row| line(row)).collect::<Vec<_>>(), [theirs[0].clone()]);
}
