//! An approval by mail: the example's definition and its mail worker, and what mail programs and people do with the
//! link.

use std::path::Path;

use serde_json::{Value, json};

use super::support::{Launch, Program, Server, cli, python, vhost};

/// The request of a browser from the page of a link.
fn post(server: &Server, fields: &[(&str, &str)]) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let call = agent.post(format!("{}/a", server.endpoint)).header("Sec-Fetch-Site", "same-origin");
    let mut answer = call.send_form(fields.iter().copied()).expect("the server answers");
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("a text"))
}

#[test]
fn a_person_answers_by_the_link_of_a_mail() {
    let (Some(url), Some(python)) = (vhost(), python()) else { return };
    let server = Server::start(Launch::over(&url));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/approval");
    let mut mailer = Program::start(&python, &example.join("mailer.py"), &[], &[("AMQP_URL", &url)]);
    let definition = std::fs::read_to_string(example.join("approval.asl.json")).unwrap();
    let machine = server.machine("approval", &definition);
    let input: Value = serde_json::from_str(&std::fs::read_to_string(example.join("input.json")).unwrap()).unwrap();

    let execution = server.execution(&machine, "offer-1", &input);
    let address = mailer.line_with("/a#");
    mailer.says("To: olga@example.com");
    mailer.says("Subject: A discount for Nordlicht GmbH");
    server.holds_no_token("the mail", &std::fs::read_to_string(mailer.log()).unwrap());
    let code = address.split_once('#').unwrap().1.trim();
    // A scanner of mails opens the address, as often as it likes.
    for _ in 0..10 {
        assert_eq!(server.get("/a").0, 200);
    }
    assert_eq!(server.status(&execution), "RUNNING");
    let (status, page) = post(&server, &[("code", code)]);
    assert!(status == 200 && page.contains("Discount you grant"), "{page}");
    server.holds_no_token("the page of a link", &page);
    let (_, page) = post(&server, &[("code", code), ("kind", "form"), ("action", "0"), ("f0", "21")]);
    assert!(page.contains("Write a number from 0 to 20."), "{page}");
    assert_eq!(server.status(&execution), "RUNNING");
    let (_, page) =
        post(&server, &[("code", code), ("kind", "form"), ("action", "0"), ("f0", "15"), ("f1", "a friend")]);
    assert!(page.contains("Your answer was taken"), "{page}");
    let ended = server.ended(&execution);
    let output: Value = serde_json::from_str(ended["output"].as_str().unwrap()).unwrap();
    assert_eq!(output["decision"], json!({"discount": 15, "reason": "a friend", "approved": true}));
    let (status, page) = post(&server, &[("code", code), ("kind", "form"), ("action", "1")]);
    assert_eq!(status, 409);
    assert!(page.contains("olga@example.com (link, made by state machine approval)"), "{page}");
    let log = std::fs::read_to_string(server.log_file()).unwrap();
    assert!(log.contains("link.used") && !log.contains(code), "the log says who, and not the code");

    // The command makes and withdraws links too.
    server.execution(&machine, "offer-2", &input);
    server.wait_for("the second task waits", super::support::SOON, |server| {
        let asked = server.call("Reveille.ListWaitingTasks", &json!({"stateMachineArn": machine}));
        asked["tasks"].as_array().is_some_and(|tasks| !tasks.is_empty())
    });
    let made = cli(&server, &["link", "approval:offer-2", "--for", "ada@example.com", "--action", "Reject"]);
    assert_eq!(made.0, 0, "{}", made.2);
    let code = made.1.trim().split_once('#').unwrap().1.to_owned();
    let id = made.2.split_whitespace().nth(1).unwrap().trim_end_matches(':').to_owned();
    let (_, page) = post(&server, &[("code", &code)]);
    assert!(page.contains("Reject") && !page.contains(">Approve<"), "{page}");
    assert_eq!(cli(&server, &["link", "--revoke", &id]).0, 0);
    assert_eq!(post(&server, &[("code", &code), ("kind", "form"), ("action", "1")]).0, 410);
}
