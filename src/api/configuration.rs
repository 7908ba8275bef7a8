//! `loggingConfiguration`, `tracingConfiguration` and `encryptionConfiguration`: checked, completed with AWS's
//! defaults, kept, echoed.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::ApiError;

/// The configurations of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "AWS's names")]
pub struct Given {
    pub logging_configuration: Option<Logging>,
    pub tracing_configuration: Option<Tracing>,
    pub encryption_configuration: Option<Encryption>,
}

/// The complete configurations, as stored (the JSON object in `Revision::configuration`) and answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "AWS's names")]
pub struct Configuration {
    pub logging_configuration: Logging,
    pub tracing_configuration: Tracing,
    pub encryption_configuration: Encryption,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Logging {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destinations: Option<Vec<LogDestination>>,
    pub include_execution_data: bool,
    pub level: String,
}

/// A log group: stored and shown, not looked up. Members that the model does not know are left out, as everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogDestination {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_watch_logs_log_group: Option<LogGroup>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_group_arn: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tracing {
    pub enabled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Encryption {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_data_key_reuse_period_seconds: Option<i64>,
}

impl Default for Logging {
    fn default() -> Self {
        Self { destinations: None, include_execution_data: false, level: "OFF".into() }
    }
}

impl Default for Encryption {
    fn default() -> Self {
        Self { kind: "AWS_OWNED_KEY".into(), kms_key_id: None, kms_data_key_reuse_period_seconds: None }
    }
}

/// The fate of a customer managed key: nothing here encrypts with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kms {
    /// So that no caller believes that data is encrypted with it.
    #[default]
    Refuse,
    /// It is kept and shown, for definitions that are written for AWS.
    Record,
}

impl Given {
    pub fn is_empty(&self) -> bool {
        self.logging_configuration.is_none()
            && self.tracing_configuration.is_none()
            && self.encryption_configuration.is_none()
    }

    /// The configurations to store: each given one replaces the one before.
    pub fn over(self, before: Configuration, kms: Kms) -> Result<Configuration, ApiError> {
        if let Some(logging) = &self.logging_configuration {
            logging.check()?;
        }
        if let Some(encryption) = &self.encryption_configuration {
            encryption.check(kms)?;
        }
        Ok(Configuration {
            logging_configuration: self.logging_configuration.unwrap_or(before.logging_configuration),
            tracing_configuration: self.tracing_configuration.unwrap_or(before.tracing_configuration),
            encryption_configuration: self.encryption_configuration.unwrap_or(before.encryption_configuration),
        })
    }
}

impl Configuration {
    /// Reads the form in the catalog. Missing members get their defaults.
    pub fn kept(value: &Value) -> Self {
        serde_json::from_value(value.clone()).unwrap_or_default()
    }

    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({}))
    }
}

impl Logging {
    /// Recorded: `Invalid Logging Configuration: Must specify exactly one Log Destination.`
    fn check(&self) -> Result<(), ApiError> {
        let destinations = self.destinations.as_deref().map_or(0, <[LogDestination]>::len);
        let wrong = destinations > 1 || (destinations == 0 && self.level != "OFF");
        if wrong {
            let message = "Invalid Logging Configuration: Must specify exactly one Log Destination.";
            return Err(ApiError::new("InvalidLoggingConfiguration", message));
        }
        Ok(())
    }
}

impl Encryption {
    /// Refuses a key that would not be used, unless the settings say that keys are only recorded.
    pub fn check(&self, kms: Kms) -> Result<(), ApiError> {
        let wrong = |why: &str| {
            Err(ApiError::new("InvalidEncryptionConfiguration", format!("Invalid Encryption Configuration: '{why}'")))
        };
        if self.kind == "CUSTOMER_MANAGED_KMS_KEY" && kms == Kms::Record {
            return match &self.kms_key_id {
                Some(key) if !key.is_empty() => Ok(()),
                _ => wrong("the type CUSTOMER_MANAGED_KMS_KEY wants a kmsKeyId"),
            };
        }
        if self.kind == "CUSTOMER_MANAGED_KMS_KEY" {
            return wrong("customer managed keys are not supported here: encrypt the store's disk or database instead");
        }
        if self.kms_key_id.is_some() || self.kms_data_key_reuse_period_seconds.is_some() {
            return wrong("kmsKeyId and kmsDataKeyReusePeriodSeconds go with the type CUSTOMER_MANAGED_KMS_KEY");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logging(given: &Value) -> Result<Value, String> {
        let given: Given = serde_json::from_value(json!({ "loggingConfiguration": given })).unwrap();
        let kept = given.over(Configuration::default(), Kms::Refuse).map_err(|e| e.message)?;
        Ok(kept.to_value()["loggingConfiguration"].clone())
    }

    #[test]
    fn logging_is_echoed_with_defaults_as_recorded() {
        let group = json!([{"cloudWatchLogsLogGroup": {"logGroupArn": "arn:aws:logs:r:a:log-group:g:*"}}]);
        let table = [
            (json!({}), json!({"includeExecutionData": false, "level": "OFF"})),
            (json!({"destinations": []}), json!({"destinations": [], "includeExecutionData": false, "level": "OFF"})),
            (
                json!({"level": "ALL", "includeExecutionData": true, "destinations": group}),
                json!({"destinations": group, "includeExecutionData": true, "level": "ALL"}),
            ),
        ];
        for (given, echoed) in table {
            assert_eq!(logging(&given), Ok(echoed));
        }
        let beside = json!({"level": "ALL", "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": "a", "x": 1}, "y": null}]});
        assert_eq!(
            logging(&beside).unwrap()["destinations"],
            json!([{"cloudWatchLogsLogGroup": {"logGroupArn": "a"}}])
        );
        let refused = Err("Invalid Logging Configuration: Must specify exactly one Log Destination.".to_owned());
        assert_eq!(logging(&json!({"level": "ALL", "destinations": [{}, {}]})), refused);
        assert_eq!(logging(&json!({"level": "ERROR"})), refused);
    }

    #[test]
    fn an_update_replaces_only_what_it_gives() {
        let before = Configuration { tracing_configuration: Tracing { enabled: true }, ..Configuration::default() };
        let given: Given = serde_json::from_value(json!({"loggingConfiguration": {}})).unwrap();
        assert_eq!(given.over(before.clone(), Kms::Refuse).unwrap(), before);
    }

    #[test]
    fn a_key_is_recorded_where_the_settings_say_so() {
        let key = |id: Value| {
            json!({"encryptionConfiguration": {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": id,
            "kmsDataKeyReusePeriodSeconds": 300}})
        };
        let given = |id: Value| serde_json::from_value::<Given>(key(id)).unwrap();
        let kept = given(json!("alias/k")).over(Configuration::default(), Kms::Record).unwrap().to_value();
        assert_eq!(kept["encryptionConfiguration"], key(json!("alias/k"))["encryptionConfiguration"]);
        assert!(given(json!(null)).over(Configuration::default(), Kms::Record).is_err());
    }

    #[test]
    fn a_key_that_would_not_be_used_is_refused() {
        let given: Given = serde_json::from_value(
            json!({"encryptionConfiguration": {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k"}}),
        )
        .unwrap();
        assert_eq!(
            given.over(Configuration::default(), Kms::Refuse).unwrap_err().kind,
            "InvalidEncryptionConfiguration"
        );
    }
}
