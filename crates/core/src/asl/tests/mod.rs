//! The language against tables of its rules, definitions recorded on AWS, and hostile definitions.

mod breadth;
mod conformance;
mod fields;
mod hostile;
mod models;
mod workflows;

use super::{Diagnostic, MachineType, Severity, diagnose};

/// A machine with the one state `A`, whose object begins at line 4, column 6.
fn state(object: &str) -> String {
    format!("{{\n\"StartAt\": \"A\",\n\"States\": {{\n\"A\": {object}\n}}\n}}")
}

/// The same in JSONata.
fn jsonata_state(object: &str) -> String {
    format!("{{\"QueryLanguage\": \"JSONata\",\n\"StartAt\": \"A\",\n\"States\": {{\n\"A\": {object}\n}}\n}}")
}

fn task(fields: &str) -> String {
    state(&format!("{{\"Type\": \"Task\", \"Resource\": \"arn:aws:states:::amqp:call\", \"End\": true, {fields}}}"))
}

fn errors(text: &str) -> Vec<Diagnostic> {
    diagnose(text, MachineType::Standard, Severity::Error)
}

/// `CODE location: message`, one line each.
fn told(diagnostics: &[Diagnostic]) -> String {
    let line = |d: &Diagnostic| format!("{} {}: {}", d.code, d.location.as_deref().unwrap_or("-"), d.message);
    diagnostics.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Each definition gives exactly these errors.
fn refuses(table: &[(String, &str)]) {
    for (text, expected) in table {
        let found = told(&errors(text));
        assert_eq!(found, *expected, "\n{text}");
    }
}

fn accepts(table: &[String]) {
    for text in table {
        assert_eq!(told(&errors(text)), "", "\n{text}");
    }
}

/// Each definition is accepted and gives exactly these warnings: code and location.
fn warns(table: &[(String, &str)]) {
    for (text, expected) in table {
        let found = diagnose(text, MachineType::Standard, Severity::Warning);
        let found: Vec<String> = found
            .iter()
            .map(|d| format!("{} {} {}", d.severity.name(), d.code, d.location.as_deref().unwrap_or("-")))
            .collect();
        assert_eq!(found.join("\n"), *expected, "\n{text}");
    }
}
