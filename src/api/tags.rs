//! Tags: at most 50 per resource. Of two tags with the same key the later counts.

use crate::ids::Arn;

use super::arn::{self, Resource};
use super::context::Context;
use super::error::ApiError;
use super::wire::Tag;

const TAGS_MAX: usize = 50;

/// Tags as the catalog takes them, each key once.
pub fn checked(resource: &str, tags: Vec<Tag>) -> Result<Vec<(String, String)>, ApiError> {
    let mut set: Vec<(String, String)> = Vec::with_capacity(tags.len());
    for Tag { key, value } in tags {
        match set.iter_mut().find(|(known, _)| *known == key) {
            Some(before) => before.1 = value,
            None => set.push((key, value)),
        }
    }
    if set.len() > TAGS_MAX {
        return Err(ApiError::too_many_tags(resource, TAGS_MAX));
    }
    Ok(set)
}

/// Checks that the resource has room for these tags.
pub async fn check_room(ctx: &Context, resource: &Arn, new: &[(String, String)]) -> Result<(), ApiError> {
    let before = ctx.catalog.tags(resource).await?;
    let added = new.iter().filter(|(key, _)| !before.iter().any(|(known, _)| known == key)).count();
    if before.len() + added > TAGS_MAX {
        return Err(ApiError::too_many_tags(resource.as_str(), TAGS_MAX));
    }
    Ok(())
}

/// The state machine or activity with this ARN. It must exist; other resources have no tags.
pub async fn resource(ctx: &Context, text: &str) -> Result<Arn, ApiError> {
    let found = match arn::parse(text)? {
        Resource::Activity => ctx.catalog.activity(&Arn::new(text)).await?.map(|row| row.arn),
        Resource::StateMachine { label: None, qualifier: None, .. } => {
            ctx.catalog.machine(&Arn::new(text)).await?.map(|row| row.arn)
        }
        _ => return Err(ApiError::invalid_arn(format!("Only state machines and activities have tags: {text}"))),
    };
    found.ok_or_else(|| ApiError::resource_not_found(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_tags_with_one_key_the_later_counts() {
        let tag = |key: &str, value: &str| Tag { key: key.into(), value: value.into() };
        let set = checked("r", vec![tag("a", "1"), tag("b", "2"), tag("a", "3")]).unwrap();
        assert_eq!(set, [("a".to_owned(), "3".to_owned()), ("b".to_owned(), "2".to_owned())]);
        let many = (0..51).map(|n| tag(&n.to_string(), "")).collect();
        assert_eq!(checked("r", many).unwrap_err().kind, "TooManyTags");
    }
}
