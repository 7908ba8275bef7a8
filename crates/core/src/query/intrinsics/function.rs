//! The eighteen functions: names, arities, kinds of arguments, and the table from function to computation.

use std::borrow::Cow;

use serde_json::Value;

use super::strings::Piece;
use super::{arrays, numbers, strings};
use crate::query::Entropy;

/// An intrinsic function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    Format,
    StringToJson,
    JsonToString,
    Array,
    ArrayPartition,
    ArrayContains,
    ArrayRange,
    ArrayGetItem,
    ArrayLength,
    ArrayUnique,
    Base64Encode,
    Base64Decode,
    Hash,
    JsonMerge,
    MathRandom,
    MathAdd,
    StringSplit,
    Uuid,
}

/// The type of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Any,
    Text,
    Number,
    Array,
    Object,
    Boolean,
}

impl Kind {
    pub fn admits(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Text => value.is_string(),
            Self::Number => value.is_number(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
            Self::Boolean => value.is_boolean(),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Text => "a string",
            Self::Number => "a number",
            Self::Array => "an array",
            Self::Object => "an object",
            Self::Boolean => "a boolean",
        }
    }
}

impl Function {
    pub const ALL: [Self; 18] = [
        Self::Format,
        Self::StringToJson,
        Self::JsonToString,
        Self::Array,
        Self::ArrayPartition,
        Self::ArrayContains,
        Self::ArrayRange,
        Self::ArrayGetItem,
        Self::ArrayLength,
        Self::ArrayUnique,
        Self::Base64Encode,
        Self::Base64Decode,
        Self::Hash,
        Self::JsonMerge,
        Self::MathRandom,
        Self::MathAdd,
        Self::StringSplit,
        Self::Uuid,
    ];

    /// The name as written in a definition: `States.Format`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Format => "States.Format",
            Self::StringToJson => "States.StringToJson",
            Self::JsonToString => "States.JsonToString",
            Self::Array => "States.Array",
            Self::ArrayPartition => "States.ArrayPartition",
            Self::ArrayContains => "States.ArrayContains",
            Self::ArrayRange => "States.ArrayRange",
            Self::ArrayGetItem => "States.ArrayGetItem",
            Self::ArrayLength => "States.ArrayLength",
            Self::ArrayUnique => "States.ArrayUnique",
            Self::Base64Encode => "States.Base64Encode",
            Self::Base64Decode => "States.Base64Decode",
            Self::Hash => "States.Hash",
            Self::JsonMerge => "States.JsonMerge",
            Self::MathRandom => "States.MathRandom",
            Self::MathAdd => "States.MathAdd",
            Self::StringSplit => "States.StringSplit",
            Self::Uuid => "States.UUID",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    /// Least and most arguments.
    pub(super) fn arity(self) -> (usize, usize) {
        match self {
            Self::Uuid => (0, 0),
            Self::Array => (0, usize::MAX),
            Self::Format => (1, usize::MAX),
            Self::StringToJson
            | Self::JsonToString
            | Self::ArrayLength
            | Self::ArrayUnique
            | Self::Base64Encode
            | Self::Base64Decode => (1, 1),
            Self::ArrayPartition
            | Self::ArrayContains
            | Self::ArrayGetItem
            | Self::Hash
            | Self::MathAdd
            | Self::StringSplit => (2, 2),
            Self::MathRandom => (2, 3),
            Self::ArrayRange | Self::JsonMerge => (3, 3),
        }
    }

    /// The type of argument `at`.
    pub(super) fn argument_kind(self, at: usize) -> Kind {
        match (self, at) {
            (Self::StringToJson | Self::Base64Encode | Self::Base64Decode | Self::StringSplit, _)
            | (Self::Format, 0)
            | (Self::Hash, 1) => Kind::Text,
            (Self::ArrayRange | Self::MathRandom | Self::MathAdd, _)
            | (Self::ArrayPartition | Self::ArrayGetItem, 1) => Kind::Number,
            (
                Self::ArrayPartition | Self::ArrayContains | Self::ArrayGetItem | Self::ArrayLength | Self::ArrayUnique,
                0,
            ) => Kind::Array,
            (Self::JsonMerge, 0 | 1) => Kind::Object,
            (Self::JsonMerge, _) => Kind::Boolean,
            _ => Kind::Any,
        }
    }

    /// AWS's text for arguments that do not do, and why.
    pub(super) fn invalid(self, why: &str) -> String {
        format!("Invalid arguments in {}: {why}.", self.name())
    }

    /// Computes; the number of arguments is checked. `template`: the first argument of `Format`, when it is a literal.
    pub(super) fn apply(
        self,
        template: Option<Cow<'_, [Piece]>>,
        values: Vec<Cow<'_, Value>>,
        entropy: &mut Entropy,
    ) -> Result<Value, String> {
        for (at, value) in values.iter().enumerate() {
            if at == 0 && template.is_some() {
                continue;
            }
            let kind = self.argument_kind(at);
            if !kind.admits(value) {
                return Err(self.invalid(&format!("argument {} must be {}", at + 1, kind.name())));
            }
        }
        let result = match self {
            Self::Array => Ok(Value::Array(values.into_iter().map(Cow::into_owned).collect())),
            Self::Uuid => Ok(Value::String(entropy.uuid().to_string())),
            Self::Format => return strings::format(template, &values),
            Self::StringToJson => strings::string_to_json(&values[0]),
            Self::JsonToString => Ok(Value::String(values[0].to_string())),
            Self::Base64Encode => strings::base64_encode(&values[0]),
            Self::Base64Decode => strings::base64_decode(&values[0]),
            Self::Hash => strings::hash(&values[0], &values[1]),
            Self::StringSplit => Ok(strings::split(&values[0], &values[1])),
            Self::JsonMerge => strings::json_merge(values),
            Self::ArrayPartition => arrays::partition(&values[0], &values[1]),
            Self::ArrayContains => Ok(arrays::contains(&values[0], &values[1])),
            Self::ArrayRange => arrays::range(&values[0], &values[1], &values[2]),
            Self::ArrayGetItem => arrays::get_item(&values[0], &values[1]),
            Self::ArrayLength => Ok(arrays::length(&values[0])),
            Self::ArrayUnique => Ok(arrays::unique(&values[0])),
            Self::MathAdd => numbers::add(&values[0], &values[1]),
            Self::MathRandom => numbers::random(&values[0], &values[1], values.get(2).map(Cow::as_ref), entropy),
        };
        result.map_err(|why| self.invalid(&why))
    }
}
