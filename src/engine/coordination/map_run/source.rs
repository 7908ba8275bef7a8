//! Where a run's items come from, read page by page: state data, an object, many objects, a listing.
//!
//! Source: developer guide, "ItemReader (Map)".

use std::sync::Arc;

use serde_json::{Value, json};

use crate::asl::model::Machine;
use crate::clock::Timestamp;
use crate::ids::EventId;
use crate::interpreter::event::{Failure, ItemSource, MapRunPlan, Payload};
use crate::interpreter::map_items::{self, Item, Shaper};
use crate::interpreter::map_run::RunEvent;
use crate::interpreter::state::State;
use crate::objects::items::{Csv, Delimiter, Format, Headers, ItemError, Items, JsonArray, Lines, Uris};
use crate::objects::{Listed, Listing, Objects};

/// The items of a run, and the template of their children.
#[derive(Debug)]
pub(super) struct Source {
    feed: Feed,
    shaper: Shaper,
    left: u64,
    objects: Objects,
}

#[derive(Debug)]
enum Feed {
    /// Before the first item.
    Reader(Reader),
    State {
        items: Payload,
        keys: Option<Vec<String>>,
        at: usize,
    },
    Object(Box<Items>),
    Listing(Listing),
    /// The items of many objects, one after the other.
    Many {
        reader: Reader,
        files: Files,
        current: Option<Box<Items>>,
    },
}

/// Objects whose items are read one after the other: of which bucket and key.
#[derive(Debug)]
enum Files {
    Inventory(std::vec::IntoIter<(String, String)>),
    Uris(Box<Items>),
    Listing { bucket: String, listing: Listing },
}

/// `ItemReader`.
#[derive(Debug, Clone)]
struct Reader {
    action: String,
    parameters: Payload,
    config: Value,
}

impl Source {
    /// `None` where the parent's state has no such run.
    pub fn new(
        machine: &Arc<Machine>,
        state: State,
        started: EventId,
        plan: &MapRunPlan,
        objects: Objects,
    ) -> Option<Self> {
        let (feed, label, left) = match &plan.source {
            ItemSource::StateData { items } => {
                let keys = items.as_object().map(|pairs| pairs.keys().cloned().collect());
                (Feed::State { items: Payload::clone(items), keys, at: 0 }, "STATE_DATA".to_owned(), u64::MAX)
            }
            ItemSource::Reader { parameters, max_items } => {
                let definition = map_items::definition(machine, &state, started)?.item_reader.as_ref()?;
                let action = definition.resource.resource_name();
                let reader =
                    Reader { action, parameters: Payload::clone(parameters), config: definition.config.clone() };
                let label = reader.label();
                // `MaxItems: 0` is no bound.
                (Feed::Reader(reader), label, max_items.filter(|n| *n > 0).unwrap_or(u64::MAX))
            }
        };
        let shaper = Shaper::new(Arc::clone(machine), state, started, Some(label))?;
        Some(Self { feed, shaper, left, objects })
    }

    /// Reads on, until about so many children are complete.
    pub async fn read(&mut self, children: usize) -> RunEvent {
        let mut read = Vec::new();
        while read.len() < children {
            let item = if self.left == 0 { Ok(None) } else { self.next().await };
            match item {
                Ok(Some(item)) => {
                    self.left -= 1;
                    match self.shaper.push(item) {
                        Ok(child) => read.extend(child),
                        Err(failure) => return RunEvent::ReadFailed(failure),
                    }
                }
                Ok(None) => {
                    read.extend(self.shaper.finish());
                    return RunEvent::Read { children: read, last: true };
                }
                Err(e) => return RunEvent::ReadFailed(Failure::new("States.ItemReaderFailed", e.to_string())),
            }
        }
        RunEvent::Read { children: read, last: false }
    }

    async fn next(&mut self) -> Result<Option<Item>, ItemError> {
        if let Feed::Reader(reader) = &self.feed {
            self.feed = reader.clone().open(&self.objects).await?;
        }
        let value = match &mut self.feed {
            Feed::Reader(_) => None,
            Feed::State { items, keys, at } => {
                let i = *at;
                *at += 1;
                return Ok(match keys {
                    None => items.get(i).map(|value| Item { value: value.clone(), key: None }),
                    Some(keys) => keys.get(i).map(|key| Item { value: items[key].clone(), key: Some(key.clone()) }),
                });
            }
            Feed::Object(items) => {
                let value = items.next().await?;
                return Ok(value.map(|value| item(value, items.gives_pairs())));
            }
            Feed::Listing(listing) => listing.next().await?.map(|object| shown(&object)),
            Feed::Many { reader, files, current } => loop {
                if let Some(items) = current
                    && let Some(value) = items.next().await?
                {
                    return Ok(Some(item(value, items.gives_pairs())));
                }
                let Some((bucket, key)) = files.next().await? else { break None };
                *current = Some(Box::new(reader.file(&self.objects, &bucket, &key).await?));
            },
        };
        Ok(value.map(|value| Item { value, key: None }))
    }
}

/// A value of a file, or a pair `{"Key", "Value"}` that is taken apart.
fn item(mut value: Value, is_pair: bool) -> Item {
    if !is_pair {
        return Item { value, key: None };
    }
    let key = value["Key"].as_str().map(str::to_owned);
    Item { value: value["Value"].take(), key }
}

/// An object as an item, in the members of `ListObjectsV2`. `LastModified` is a double, as measured on AWS.
fn shown(object: &Listed) -> Value {
    json!({
        "Etag": object.e_tag.as_ref().map(|tag| format!("\"{}\"", tag.trim_matches('"'))),
        "Key": object.key,
        "LastModified": Timestamp::from_millis(object.modified.millis() / 1_000 * 1_000).epoch_seconds(),
        "Size": object.size,
        "StorageClass": "STANDARD",
    })
}

impl Files {
    async fn next(&mut self) -> Result<Option<(String, String)>, ItemError> {
        Ok(match self {
            Self::Inventory(files) => files.next(),
            Self::Listing { bucket, listing } => listing.next().await?.map(|object| (bucket.clone(), object.key)),
            Self::Uris(items) => match items.next().await? {
                None => None,
                Some(line) => {
                    let text = line.as_str().unwrap_or_default();
                    let parts = text.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
                    let (bucket, key) = parts.ok_or_else(|| ItemError::Malformed {
                        format: "manifest",
                        why: format!("'{text}' is not s3://BUCKET/KEY"),
                        item: 0,
                    })?;
                    Some((bucket.to_owned(), key.to_owned()))
                }
            },
        })
    }
}

impl Reader {
    fn parameter(&self, name: &'static str) -> Result<&str, ItemError> {
        let value = self.parameters.get(name).and_then(Value::as_str);
        value.ok_or_else(|| ItemError::Unsupported(format!("The ItemReader's parameters have no text '{name}'.")))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.config.get(name).and_then(Value::as_str)
    }

    fn lists(&self) -> bool {
        self.action.eq_ignore_ascii_case("listObjectsV2")
    }

    fn flattens(&self) -> bool {
        self.text("Transformation") == Some("LOAD_AND_FLATTEN")
    }

    /// `$$.Map.Item.Source`.
    fn label(&self) -> String {
        let of = |name| self.parameters.get(name).and_then(Value::as_str).unwrap_or_default();
        if self.lists() && !self.flattens() {
            format!("S3://{}", of("Bucket"))
        } else {
            format!("S3://{}/{}", of("Bucket"), of("Key"))
        }
    }

    async fn open(self, objects: &Objects) -> Result<Feed, ItemError> {
        let bucket = self.parameter("Bucket")?;
        if self.lists() {
            let prefix = self.parameters.get("Prefix").and_then(Value::as_str).unwrap_or_default();
            let listing = objects.list(bucket, prefix).await?;
            if !self.flattens() {
                return Ok(Feed::Listing(listing));
            }
            let files = Files::Listing { bucket: bucket.to_owned(), listing };
            return Ok(Feed::Many { reader: self, files, current: None });
        }
        if !self.action.eq_ignore_ascii_case("getObject") {
            return Err(ItemError::Unsupported(format!(
                "An ItemReader cannot call '{}'; it reads with s3:getObject and s3:listObjectsV2.",
                self.action
            )));
        }
        let key = self.parameter("Key")?;
        match (self.text("InputType"), self.text("ManifestType")) {
            (_, Some("ATHENA_DATA")) => {
                let uris = Items::new(objects.read(bucket, key).await?, Box::new(Uris::default()), is_gzip(key));
                Ok(Feed::Many { reader: self, files: Files::Uris(Box::new(uris)), current: None })
            }
            (Some("MANIFEST"), _) | (_, Some("S3_INVENTORY")) => {
                self.inventory(&objects.read_whole(bucket, key).await?)
            }
            _ => Ok(Feed::Object(Box::new(self.file(objects, bucket, key).await?))),
        }
    }

    /// The manifest of an S3 inventory: files of CSV without headers, whose columns `fileSchema` names.
    fn inventory(&self, manifest: &[u8]) -> Result<Feed, ItemError> {
        let malformed =
            |why: &str| ItemError::Malformed { format: "S3 inventory manifest", why: why.to_owned(), item: 0 };
        let manifest: Value = serde_json::from_slice(manifest).map_err(|e| malformed(&e.to_string()))?;
        if let Some(format) = manifest["fileFormat"].as_str().filter(|f| *f != "CSV") {
            return Err(ItemError::Unsupported(format!(
                "An inventory in the format '{format}' cannot be read; CSV can."
            )));
        }
        let schema = manifest["fileSchema"].as_str().ok_or_else(|| malformed("it has no fileSchema"))?;
        let headers: Vec<&str> = schema.split(',').map(str::trim).collect();
        let bucket = manifest["destinationBucket"].as_str().ok_or_else(|| malformed("it has no destinationBucket"))?;
        let bucket = bucket.rsplit(':').next().unwrap_or_default();
        let files = manifest["files"].as_array().ok_or_else(|| malformed("it has no files"))?;
        let keys = files.iter().map(|f| f["key"].as_str().map(|key| (bucket.to_owned(), key.to_owned())));
        let keys: Option<Vec<(String, String)>> = keys.collect();
        let config = json!({ "InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": headers });
        let reader = Self { config, ..self.clone() };
        let files = Files::Inventory(keys.ok_or_else(|| malformed("a file has no key"))?.into_iter());
        Ok(Feed::Many { reader, files, current: None })
    }

    /// The items of one file, in the format of `InputType`.
    async fn file(&self, objects: &Objects, bucket: &str, key: &str) -> Result<Items, ItemError> {
        let format: Box<dyn Format> = match self.text("InputType").unwrap_or("JSON") {
            "JSON" => Box::new(JsonArray::new(self.text("ItemsPointer").unwrap_or_default())),
            "JSONL" => Box::new(Lines::default()),
            "CSV" => {
                let given = self.config.get("CSVHeaders").and_then(Value::as_array);
                let headers = match (self.text("CSVHeaderLocation"), given) {
                    (Some("GIVEN"), Some(names)) => {
                        Headers::Given(names.iter().map(|n| n.as_str().unwrap_or_default().to_owned()).collect())
                    }
                    _ => Headers::FirstRow,
                };
                let delimiter = self.text("CSVDelimiter").and_then(Delimiter::parse).unwrap_or_default();
                Box::new(Csv::new(headers, delimiter)?)
            }
            other => {
                return Err(ItemError::Unsupported(format!(
                    "Files of InputType '{other}' cannot be read; JSON, JSONL, CSV and MANIFEST can."
                )));
            }
        };
        Ok(Items::new(objects.read(bucket, key).await?, format, is_gzip(key)))
    }
}

fn is_gzip(key: &str) -> bool {
    std::path::Path::new(key).extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"))
}
