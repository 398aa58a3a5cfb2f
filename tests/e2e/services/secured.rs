//! HTTPS with a password: what is wrong is refused and parks, what is right works, and nothing is lost meanwhile.

use e2e::agent::{PATIENCE, Room};
use e2e::oracle::Oracle;
use e2e::seed::Rng;
use e2e::services::Service;
use e2e::wait;
use e2e::writer::Writer;

const INDEX: &str = "logs-secured";
const PASSWORD: &str = "right-password-1";

#[test]
fn wrong_passwords_park_wrong_authorities_refuse_and_right_ones_work() {
    let Some(server) = super::server("secured", "elasticsearch", super::MAIN, &["--password", PASSWORD]) else {
        return;
    };
    assert!(server.url().starts_with("https://"), "{}", server.url());
    a_wrong_password_parks_until_it_is_mended(&server);
    a_wrong_authority_is_refused(&server);
    the_demo_is_played_over_https(&server);
}

fn the_demo_is_played_over_https(server: &Service) {
    let certificate = server.certificate();
    let demo = |password: Option<&str>, more: &[&str]| {
        let mut demo = std::process::Command::new(e2e::binaries::splashdam());
        demo.args(["demo", "--lines", "5000", "--seconds", "2", "--elasticsearch", server.url()]).args(more);
        demo.env_remove("SPLASHDAM_PASSWORD").envs(password.map(|password| ("SPLASHDAM_PASSWORD", password)));
        let output = demo.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), format!("{out}{err}"))
    };
    let ca = certificate.to_str().unwrap();
    for (password, more, expected) in [
        (None, &[][..], "--ca FILE"),
        (None, &["--ca", ca], "wants to know who asks"),
        (None, &["--ca", ca, "--user", "elastic"], "$SPLASHDAM_PASSWORD"),
        (Some("wrong"), &["--ca", ca, "--user", "elastic"], "does not know elastic with this password"),
    ] {
        let (code, said) = demo(password, more);
        assert!(code == Some(5) && said.contains(expected), "{code:?}: {expected} is not said: {said}");
    }
    let (code, said) = demo(Some(PASSWORD), &["--ca", ca, "--user", "elastic"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Nothing is missing, nothing is double."), "{said}");
    assert!(!said.contains(PASSWORD), "the password is shown: {said}");
}

fn a_wrong_password_parks_until_it_is_mended(server: &Service) {
    let room = Room::new();
    let oracle = Oracle::new(Rng::for_test("secured"));
    Writer::new(room.logs().join("app.log"), &oracle).lines(2000);
    let password = room.file("password", "wrong\n");
    let more = format!(
        "user = \"elastic\"\npassword = \"${{file:{}}}\"\n[sink.tls]\nca_file = \"{}\"",
        password.display(),
        server.certificate().display()
    );
    let mut agent = room.agent(&room.raw_job("*.log", server.url(), INDEX, &more));
    agent.start_ready();
    wait::holds("the sink is parked", PATIENCE, || agent.ctl().state() == "parked");
    assert!(agent.ctl().status().to_string().contains("401"), "{}", agent.ctl().status());
    assert_eq!(server.count(INDEX), 0);
    std::fs::write(&password, PASSWORD).unwrap();
    wait::holds("the right one is picked up", 2 * PATIENCE, || server.count(INDEX) == 2000);
    wait::holds("nothing is owed", PATIENCE, || agent.ctl().number("owed_records") == Some(0));
    assert!(!agent.log().contains(PASSWORD), "the password is in the log");
    assert!(!agent.ctl().status().to_string().contains(PASSWORD), "the password is in the status");
    assert_eq!(agent.ctl().number("dead_letters"), Some(0));
}

fn a_wrong_authority_is_refused(server: &Service) {
    let room = Room::new();
    room.file("logs/app.log", "one\n");
    let key = room.path().join("other.key");
    let other = room.path().join("other.crt");
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other"]);
    assert!(openssl.arg("-keyout").arg(&key).arg("-out").arg(&other).output().unwrap().status.success());
    let more = |ca: &std::path::Path| {
        format!("user = \"elastic\"\npassword = \"{PASSWORD}\"\n[sink.tls]\nca_file = \"{}\"", ca.display())
    };
    let mut agent = room.agent(&room.raw_job("*.log", server.url(), "logs-authority", &more(&other)));
    agent.start_ready();
    wait::holds("the certificate is refused", PATIENCE, || {
        let status = agent.ctl().status().to_string().to_lowercase();
        status.contains("certificate") || status.contains("issuer") || status.contains("tls")
    });
    assert_eq!(server.count("logs-authority"), 0);
    agent.stop();
    let right = room.raw_job("*.log", server.url(), "logs-authority", &more(&server.certificate()));
    room.agent(&right).once_well();
    assert_eq!(server.count("logs-authority"), 1);
}
