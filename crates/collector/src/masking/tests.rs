use super::*;

fn line(text: &str) -> String {
    String::from_utf8(mask_line(text.as_bytes()).into_owned()).unwrap()
}

/// Arguments written with `·` between them.
fn arguments(text: &str) -> String {
    let shown = mask_arguments(text.replace('·', "\0").as_bytes()).into_owned();
    String::from_utf8(shown).unwrap().replace('\0', "·")
}

#[test]
fn secrets_in_arguments_are_masked_and_the_rest_is_not() {
    for (given, shown) in [
        ("prog·--password·hunter2·--verbose", "prog·--password·[masked]·--verbose"),
        ("prog·--password·two words·x", "prog·--password·[masked]·x"),
        ("prog·--password=a&b c", "prog·--password=[masked]"),
        ("prog·--password·--verbose", "prog·--password·--verbose"),
        ("prog·--password·-x9-secret", "prog·--password·[masked]"),
        ("prog·-token·abc", "prog·-token·[masked]"),
        ("prog·--api-key=abc·file", "prog·--api-key=[masked]·file"),
        ("prog.exe·/password:abc", "prog.exe·/password:[masked]"),
        ("mysql·-uroot·-phunter2·db", "mysql·-uroot·-p[masked]·db"),
        ("/usr/bin/mysqldump·-p·db", "/usr/bin/mysqldump·-p·db"),
        ("curl·-u·bob:hunter2·https://h/", "curl·-u·bob:[masked]·https://h/"),
        ("curl·-ubob:hunter2", "curl·-ubob:[masked]"),
        ("curl·-H·Authorization: Bearer abc.def", "curl·-H·Authorization: Bearer [masked]"),
        ("curl·-HX-Api-Key: abc", "curl·-HX-Api-Key: [masked]"),
        (
            "curl·-d·{\"user\":\"bob\",\"password\": \"a b\"}",
            "curl·-d·{\"user\":\"bob\",\"password\": \"[masked]\"}",
        ),
        ("curl·https://bob:hunter2@example.org/x", "curl·https://bob:[masked]@example.org/x"),
        ("psql·postgres://bob:p%40ss/w@db:5432/x", "psql·postgres://bob:[masked]@db:5432/x"),
        ("curl·https://h/p?a=1&token=abc&b=2", "curl·https://h/p?a=1&token=[masked]&b=2"),
        ("curl·https://h/?sig=a%2Bb#top", "curl·https://h/?sig=[masked]"),
        ("sshpass·-p·hunter2·ssh·-p·22·host", "sshpass·-p·[masked]·ssh·-p·22·host"),
        ("sshpass·-phunter2·ssh·host", "sshpass·-p[masked]·ssh·host"),
        ("env·API_TOKEN=a b·prog·x", "env·API_TOKEN=[masked]·prog·x"),
        ("docker·run·-e·DB_PASS=x1·-p·80:80·img", "docker·run·-e·DB_PASS=[masked]·-p·80:80·img"),
        ("docker·login·-u·bob·-p·hunter2", "docker·login·-u·bob·-p·[masked]"),
        ("sh·-c·PGPASSWORD=x psql -h db", "sh·-c·PGPASSWORD=[masked] psql -h db"),
        ("bash·-lc·mysql -u root -phunter2 < f", "bash·-lc·mysql -u root -p[masked] < f"),
        ("kubectl·create·--from-literal=password=a,b", "kubectl·create·--from-literal=password=[masked]"),
        ("mount·-o·username=bob,password=x,uid=1", "mount·-o·username=bob,password=[masked],uid=1"),
        ("app·Server=h;User=sa;Password=x;", "app·Server=h;User=sa;Password=[masked];"),
        (
            "java·-Djavax.net.ssl.trustStorePassword=x·Main",
            "java·-Djavax.net.ssl.trustStorePassword=[masked]·Main",
        ),
        ("openssl·enc·-pass·pass:hunter2", "openssl·enc·-pass·[masked]"),
        ("xfreerdp·/u:bob·/p:hunter2·/v:host", "xfreerdp·/u:bob·/p:[masked]·/v:host"),
        ("git·clone·https://0123456789abcdef0123@h/x", "git·clone·https://[masked]@h/x"),
        ("x·ghp_0123456789abcdefghij", "x·[masked]"),
        ("x·AKIAIOSFODNN7EXAMPLE", "x·[masked]"),
        ("x·eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.c2ln", "x·[masked]"),
        (
            "x·-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
            "x·-----BEGIN RSA PRIVATE KEY-----[masked]-----END RSA PRIVATE KEY-----",
        ),
        ("nmcli·dev·wifi·connect·net·password·hunter2", "nmcli·dev·wifi·connect·net·password·[masked]"),
        ("smbclient·-U·bob%hunter2·//h/s", "smbclient·-U·bob%[masked]·//h/s"),
        ("prog: --password hunter2 running", "prog: --password [masked] running"),
    ] {
        assert_eq!(arguments(given), shown);
    }
}

#[test]
fn secrets_in_lines_are_masked_and_the_rest_is_not() {
    for (given, shown) in [
        ("FOO_TOKEN=x prog --v", "FOO_TOKEN=[masked] prog --v"),
        ("export AWS_SECRET_ACCESS_KEY=a/b+c; run", "export AWS_SECRET_ACCESS_KEY=[masked]; run"),
        ("export PASSWORD='a b' && run", "export PASSWORD='[masked]' && run"),
        (
            "curl -H \"Authorization: Bearer abc\" https://h",
            "curl -H \"Authorization: Bearer [masked]\" https://h",
        ),
        ("curl -d '{\"token\": \"a b\"}' h", "curl -d '{\"token\": \"[masked]\"}' h"),
        ("curl -d \"{\\\"token\\\": \\\"ab\\\"}\" h", "curl -d \"{\\\"token\\\": \\\"[masked]\\\"}\" h"),
        ("ssh h 'mysql -phunter2 db'", "ssh h 'mysql -p[masked] db'"),
        ("root mysqldump -phunter2 db | gzip -p 1", "root mysqldump -p[masked] db | gzip -p 1"),
        ("x --password \"a b\" y", "x --password \"[masked]\" y"),
        ("x --password='a b' y", "x --password='[masked]' y"),
        ("echo password: hunter2 > f", "echo password: [masked] > f"),
        ("read Bearer 0123456789abcdef", "read Bearer [masked]"),
        ("python -c \"password = 'x y'; run()\"", "python -c \"password = '[masked]'; run()\""),
        ("wget --password=a --user=b h", "wget --password=[masked] --user=b h"),
        ("x --token abc; mysql -pa; ssh -p 2", "x --token [masked]; mysql -p[masked]; ssh -p 2"),
    ] {
        assert_eq!(line(given), shown);
    }
}

#[test]
fn what_is_no_secret_stays_as_it_is() {
    for open in [
        "ftp --passive host",
        "prog --key-file /etc/key --password-file=/run/p",
        "curl --key /etc/ssl/key.pem --cert /etc/c.pem https://h/",
        "ssh -i ~/.ssh/id_rsa -p 22 -o PasswordAuthentication=no host",
        "python tokenize.py --tokenizer bert",
        "monkey=banana run",
        "git commit -m \"fix password bug\"",
        "grep -r password /etc",
        "cat /etc/passwd /etc/shadow",
        "docker run -v /etc/passwd:/etc/passwd:ro --user 1000:1000 -p 80:80 nginx",
        "curl http://host:8080/path@2 https://user@host/",
        "sort --key=2,2 -t: file",
        "rsync -a --exclude .git src/ host:dst/",
        "PWD=/home/x OLDPWD=/ make -C compass",
        "ffmpeg -pass 1 -i a.mkv b.mkv",
        "sshd: root@pts/0",
        "nginx: master process /usr/sbin/nginx -g daemon off;",
        "perl -MAuth::PAM -e 1",
        "sudo --no-password ls",
        "aws configure list --sort-key name --max-tokens 4096",
        "SSH_AUTH_SOCK=/tmp/ssh-x/agent.1 ssh-add",
        "echo it's fine, isn't it",
        "sk-learn skip eyJ ghp_",
        "-----BEGIN CERTIFICATE-----",
        "curl -b jar.txt -u bob h",
        "",
        "= : == :: =: ://@ ' \" \\",
    ] {
        assert_eq!(line(open), open);
        assert!(matches!(mask_line(open.as_bytes()), Cow::Borrowed(_)), "{open}");
        let arguments = open.replace(' ', "\0");
        assert_eq!(mask_arguments(arguments.as_bytes()), arguments.as_bytes(), "{open}");
    }
}

/// What secrets stand in, with `§` for the secret and `·` for the end of an argument.
const TEMPLATES: &[&str] = &[
    "prog·--password·§·x",
    "prog·--password=§·x",
    "prog·--db-passwd=§",
    "prog·-token·§",
    "prog·--api-key·§",
    "prog·--client-secret=§·y",
    "prog·/password:§",
    "env·GITHUB_TOKEN=§·prog",
    "PGPASSWORD=§·psql",
    "mysql·-uroot·-p§·db",
    "sshpass·-p·§·ssh·-p·22·h",
    "curl·-u·bob:§·https://h/",
    "curl·-H·Authorization: Bearer §",
    "curl·-H·X-Auth-Token: §",
    "curl·-d·{\"a\": 1, \"password\": \"§\"}·h",
    "curl·https://bob:§@example.org/x",
    "curl·https://h/x?a=1&access_token=§&b=2",
    "app·Server=h;Password=§;User=x",
    "sh·-c·mysql -p§ db",
    "sh·-c·API_TOKEN=§ run --verbose",
    "ssh·h·export DB_PASSWORD='§'; run",
    "docker·login·-p·§",
    "redis-cli·-a·§·ping",
    "java·-Djavax.net.ssl.keyStorePassword=§",
];

/// Pieces of which texts are made that are hard to take apart.
const PIECES: &[&str] = &[
    "--password",
    "-p",
    "mysql",
    "curl",
    "-u",
    "token=",
    "key:",
    "Authorization:",
    "Bearer ",
    "://",
    "@",
    ":",
    "=",
    "'",
    "\"",
    "\\",
    " ",
    "\0",
    "\n",
    ";",
    "|",
    "&",
    ",",
    "{",
    "}",
    "-----BEGIN RSA PRIVATE KEY-----",
    "ghp_",
    "[masked]",
    "x",
    "0123456789abcdefghijklmnop",
    "/etc/key",
    "sh\0-c\0",
    "?sig=",
    "$(",
    ")",
    "\u{e9}",
];

mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            8 => select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => vec(any::<u8>(), 1..4),
        ];
        vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn masking_what_is_masked_changes_nothing(text in hostile()) {
            for mask in [mask_line, mask_arguments] {
                let once = mask(&text).into_owned();
                prop_assert_eq!(mask(&once).into_owned(), once.clone());
                prop_assert!(once.len() <= text.len() * MASK.len() + MASK.len());
            }
        }

        #[test]
        fn no_secret_of_a_known_place_is_shown(
            template in select(TEMPLATES),
            secret in "[a-zA-Z0-9][a-zA-Z0-9_+.!*-]{5,30}",
        ) {
            let given = template.replace('§', &secret).replace('·', "\0");
            let shown = Masking::On.arguments(given.clone().into_bytes());
            prop_assert!(shown.masked);
            let text = String::from_utf8(shown.text).unwrap();
            prop_assert!(!text.contains(&secret), "{}", text);
            // The words around it stay.
            let blanks = given.replace('\0', " ");
            let (before, _) = blanks.split_once(&secret).unwrap();
            prop_assert!(text.starts_with(before), "{} | {}", text, before);
            let raw = Masking::Off.arguments(given.into_bytes());
            prop_assert_eq!((raw.masked, raw.text), (false, blanks.into_bytes()));
        }
    }
}

#[test]
fn a_long_hostile_text_takes_time_in_proportion() {
    // 200,000 bytes each: what took time by the square of it would not end.
    for piece in
        PIECES.iter().chain(&["://a:b", "key=/", "x?key=/", "\"key\":", "'\"", "\"\\\"", "-c\0key=/"])
    {
        let text = piece.repeat(200_000 / piece.len());
        assert!(mask_line(text.as_bytes()).len() <= text.len() * MASK.len());
        assert!(mask_arguments(text.as_bytes()).len() <= text.len() * MASK.len());
    }
}
