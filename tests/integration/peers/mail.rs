//! Mails to Exim: in the clear, by STARTTLS with PLAIN, and inside TLS with LOGIN.

use std::process::{Command, Stdio};
use std::time::Duration;

use autonomous_orchestrator::{MailError, Secret, Security, Server, Tls};

use super::{Folder, Peer, available};
use crate::fleet::{free_port, until};

const PROGRAM: &str = "/usr/sbin/exim4";
const MAIL: &str = "From: gw@mail.test\nTo: ann@mail.test\nSubject: disk full\n\n.a line with a dot\n.\nFrom here on\n";

struct Exim {
    folder: Folder,
    /// In the clear and by STARTTLS; inside TLS.
    ports: (u16, u16),
    _process: Peer,
}

impl Exim {
    fn start() -> Self {
        let folder = Folder::new();
        let ports = (free_port(), free_port());
        let (work, at) = (folder.shown("work"), folder.0.path().display());
        // Root's mails are delivered by somebody else; anybody else delivers as himself.
        let user = match nix::unistd::geteuid().is_root() {
            true => "user = Debian-exim",
            false => "",
        };
        let config = format!(
            r#"spool_directory = {work}/spool
log_file_path = {work}/log-%s
pid_file_path = {work}/pid
primary_hostname = mail.test
keep_environment =
local_interfaces = 127.0.0.1
daemon_smtp_ports = {clear} : {sealed}
tls_on_connect_ports = {sealed}
tls_advertise_hosts = *
tls_certificate = {at}/server.pem
tls_privatekey = {at}/server.key
host_lookup =
rfc1413_hosts =
message_size_limit = 20K
acl_smtp_rcpt = recipients
begin acl
recipients:
  deny local_parts = nobody-here
       message = no such user
  defer local_parts = busy
  accept domains = mail.test
  accept authenticated = *
  deny message = relay not permitted
begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = {work}/box
  mode = 0644
  mode_fail_narrower = false
  {user}
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_advertise_condition = ${{if and{{{{def:tls_in_cipher}}{{={{$received_port}}{{{clear}}}}}}}}}
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{gw}}}}{{eq{{$auth3}}{{s3cret-word}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_advertise_condition = ${{if ={{$received_port}}{{{sealed}}}}}
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{gw}}}}{{eq{{$auth2}}{{s3cret-word}}}}}}}}
  server_set_id = $auth1
"#,
            clear = ports.0,
            sealed = ports.1,
        );
        std::fs::write(folder.path("exim.conf"), config).unwrap();
        let log = std::fs::File::create(folder.path("said")).unwrap();
        let process = Command::new(PROGRAM)
            .arg("-C")
            .arg(folder.path("exim.conf"))
            .arg("-bdf")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let exim = Self {
            folder,
            ports,
            _process: Peer(process.unwrap()),
        };
        until("Exim listens", || {
            exim.server(Security::Plain)
                .check(&exim.folder.tls())
                .is_ok()
        });
        exim
    }

    fn server(&self, security: Security) -> Server {
        let port = match security {
            Security::Tls => self.ports.1,
            Security::StartTls | Security::Plain => self.ports.0,
        };
        let signs_in = security != Security::Plain;
        Server {
            address: format!("localhost:{port}"),
            security,
            user: if signs_in { "gw" } else { "" }.to_owned(),
            password: signs_in.then(|| Secret::new("s3cret-word")),
            hello: "gw.example".to_owned(),
            timeout: Duration::from_secs(20),
            stop: std::sync::Arc::default(),
        }
    }

    fn send(&self, security: Security, to: &[&str], mail: &str) -> Result<String, MailError> {
        let to: Vec<_> = to.iter().map(|one| (*one).to_owned()).collect();
        let server = self.server(security);
        server.send(&self.folder.tls(), "gw@mail.test", &to, mail)
    }

    /// All that was delivered.
    fn delivered(&self) -> String {
        std::fs::read_to_string(self.folder.path("work/box")).unwrap_or_default()
    }
}

#[test]
fn mails_reach_a_real_server_by_every_way() {
    if !available(&[PROGRAM]) {
        return;
    }
    let exim = Exim::start();
    for (security, protocol) in [
        (Security::Plain, "with esmtp (Exim"),
        (Security::StartTls, "with esmtpsa "),
        (Security::Tls, "with esmtpsa "),
    ] {
        let before = exim.delivered().matches(protocol).count();
        let words = exim.send(security, &["ann@mail.test"], MAIL).unwrap();
        assert!(words.starts_with("250 OK id="), "{words}");
        until("it is delivered", || {
            exim.delivered().matches(protocol).count() == before + 1
        });
    }
    let delivered = exim.delivered();
    let body = "Subject: disk full\n\n.a line with a dot\n.\n>From here on\n";
    assert_eq!(delivered.matches(body).count(), 3, "{delivered}");
    assert_eq!(delivered.matches("envelope-from <gw@mail.test>").count(), 3);
    for security in [Security::StartTls, Security::Tls] {
        let words = exim.server(security).check(&exim.folder.tls()).unwrap();
        assert_eq!(words, "235 Authentication succeeded");
    }
}

#[test]
fn a_real_server_that_refuses_says_what_is_to_be_done() {
    if !available(&[PROGRAM]) {
        return;
    }
    let exim = Exim::start();
    let to = |to: &[&str]| exim.send(Security::Plain, to, MAIL);
    let words = to(&["ann@mail.test", "nobody-here@mail.test"]).unwrap();
    assert!(
        words.ends_with("; not to nobody-here@mail.test (550 no such user)"),
        "{words}"
    );
    let nobody = Err(MailError::Denied("550 no such user".to_owned()));
    assert_eq!(to(&["nobody-here@mail.test"]), nobody);
    let relay = Err(MailError::Denied("550 relay not permitted".to_owned()));
    assert_eq!(to(&["ann@elsewhere.test"]), relay);
    let later = to(&["busy@mail.test"]);
    assert!(matches!(later, Err(MailError::Later(_))), "{later:?}");
    // Whoever signed in may relay.
    exim.send(Security::Tls, &["ann@elsewhere.test"], MAIL)
        .unwrap();
    let large = exim.send(Security::Plain, &["ann@mail.test"], &"x\n".repeat(10_000));
    assert!(matches!(large, Err(MailError::Refused(_))), "{large:?}");
}

#[test]
fn a_wrong_password_and_a_foreign_certificate_are_told_apart() {
    if !available(&[PROGRAM]) {
        return;
    }
    let exim = Exim::start();
    for security in [Security::StartTls, Security::Tls] {
        let mut server = exim.server(security);
        let foreign = server.check(&Tls::new("").unwrap()).unwrap_err();
        assert!(
            matches!(&foreign, MailError::NotSent(why) if why.contains("certificate")),
            "{foreign}"
        );
        server.password = Some(Secret::new("an0ther-word"));
        let denied = server.check(&exim.folder.tls()).unwrap_err();
        let wanted = "denied: 535 Incorrect authentication data";
        assert_eq!(denied.to_string(), wanted);
    }
    // TLS where none is spoken, and the other way round.
    let mut server = exim.server(Security::Tls);
    server.address = exim.server(Security::StartTls).address;
    let error = server.check(&exim.folder.tls()).unwrap_err();
    assert!(matches!(error, MailError::NotSent(_)), "{error}");
}
