//! Forms beside definitions, for definitions that must stay as AWS takes them. Each is a document with a name; the tags
//! of a machine join it to a state.

use serde_json::Value;

use crate::engine::AskedTask;
use crate::forms::{Fault, Form};
use crate::ids::Arn;
use crate::limits::{FORM_BYTES_MAX, NAME_CHARS_MAX};
use crate::store::{Catalog, NoteRow, StoreResult};

use super::arn;
use super::error::ApiError;

/// The kind of their notes.
pub const KIND: &str = "form";

/// The key of the tag that names the form of a state.
#[must_use]
pub fn tag(state: &str) -> String {
    format!("reveille:form:{state}")
}

/// Checks the name of a form.
pub fn name(text: &str) -> Result<(), ApiError> {
    if text.is_empty() || text.chars().count() > NAME_CHARS_MAX {
        return Err(ApiError::invalid_name(text));
    }
    arn::name(text)
}

/// The note of a form that can be shown.
pub fn note(name: String, form: &Value) -> Result<NoteRow, ApiError> {
    if let Some(Fault { path, message, hint }) = Form::faults(form).into_iter().next() {
        let place: String = path.iter().map(ToString::to_string).collect();
        return Err(ApiError::validation(format!(
            "{message} at {} ({hint})",
            if place.is_empty() { "/" } else { &place }
        )));
    }
    let body = form.to_string();
    if body.len() > FORM_BYTES_MAX {
        return Err(ApiError::validation(format!(
            "The form has {} bytes; at most {FORM_BYTES_MAX} are kept",
            body.len()
        )));
    }
    Ok(NoteRow { kind: KIND.to_owned(), key: name, body, until: None })
}

/// The form of an open task: in its parameters, or beside its definition. Inside: the fault of a form that cannot be
/// shown.
pub async fn of(catalog: &dyn Catalog, asked: &AskedTask) -> StoreResult<Result<Option<Form>, String>> {
    if let Some(form) = asked.parameters.get("Form") {
        return Ok(Form::read(form).map(Some).map_err(first));
    }
    Ok(match beside(catalog, &asked.row.header.state_machine, &asked.task.wait.state).await? {
        Some(template) => Form::fill(&template, &asked.input).map(Some).map_err(first),
        None => Ok(None),
    })
}

fn first(faults: Vec<Fault>) -> String {
    faults.into_iter().next().map(|fault| format!("{} ({})", fault.message, fault.hint)).unwrap_or_default()
}

/// The form that a tag of the machine gives to a state.
async fn beside(catalog: &dyn Catalog, machine: &Arn, state: &str) -> StoreResult<Option<Value>> {
    let key = tag(state);
    let tags = catalog.tags(machine).await?;
    let Some((_, name)) = tags.into_iter().find(|(known, _)| *known == key) else { return Ok(None) };
    let note = catalog.note(KIND, &name).await?;
    Ok(note.and_then(|note| serde_json::from_str(&note.body).ok()))
}
