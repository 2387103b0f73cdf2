//! A question, read from the arguments of its call.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdshort_common::aside;
use holdshort_gate::{Action, Digest};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

use super::Model;
use super::answer::Problem;
use super::send::REQUEST_BYTES_MAX;
use super::uncertainty::Uncertainty;
use crate::relative::{SpelledPath, walk};

/// The maximum size of an image in the workspace.
const IMAGE_BYTES_MAX: u64 = 4 << 20;
/// An error repeats at most this many characters of the agent's.
const REPEATED_CHARS_MAX: usize = 80;

/// The record `request`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Request {
    pub(super) model: Option<String>,
    pub(super) messages: Vec<Message>,
    pub(super) tools: Vec<Tool>,
    pub(super) json_schema: Option<JsonText>,
    pub(super) max_tokens: Option<u32>,
    pub(super) temperature: Option<Number>,
}

/// A message, in the order of the conversation.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Message {
    System(String),
    User(String),
    Image(Image),
    Assistant(Turn),
    ToolResult(ToolResult),
}

/// An image for the model.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Image {
    pub(super) media_type: String,
    source: ImageSource,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ImageSource {
    File { path: String, sha256: String },
    Base64(String),
}

/// An earlier turn of the model, as the agent repeats it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Turn {
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
}

/// A tool that the model asked for.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: JsonText,
}

/// The result of a tool, with the id of its call.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ToolResult {
    pub(super) id: String,
    pub(super) text: String,
}

/// A tool that the model may ask for.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) parameters: JsonText,
}

/// A JSON object that the agent wrote as text.
#[derive(Clone, Debug)]
pub(super) struct JsonText(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        serde_json::from_str(&text).map(Self).map_err(|error| {
            let start: String = text.chars().take(REPEATED_CHARS_MAX).collect();
            D::Error::custom(format!("`{start}` is no JSON object: {error}"))
        })
    }
}

impl Request {
    /// Reads the arguments of a call. They have the type of the function.
    pub(super) fn read(action: &Action) -> Result<Self, Problem> {
        let request = action.arguments().get("request").cloned().unwrap_or_default();
        let request: Self = serde_json::from_value(request).map_err(|error| Problem::Invalid(error.to_string()))?;
        if !request.messages.iter().any(|message| !matches!(message, Message::System(_))) {
            return Err(Problem::Invalid("the request has no message for the model".into()));
        }
        if let Some(image) = request.images().find(|image| !image.is_image()) {
            let why = format!("`{}` is no media type of an image, such as `image/png`", image.media_type);
            return Err(Problem::Invalid(why));
        }
        Ok(request)
    }

    fn images(&self) -> impl Iterator<Item = &Image> {
        self.messages.iter().filter_map(|message| if let Message::Image(image) = message { Some(image) } else { None })
    }

    /// Replaces each image that is a file by its content.
    pub(super) async fn with_files(mut self, folder: Option<&PathBuf>) -> Result<Self, Problem> {
        if !self.images().any(|image| matches!(image.source, ImageSource::File { .. })) {
            return Ok(self);
        }
        let Some(folder) = folder.cloned() else {
            return Err(Problem::Invalid("this agent has no workspace; ask the operator for one".into()));
        };
        let read = aside::for_files(move || {
            let mut left = REQUEST_BYTES_MAX;
            for message in &mut self.messages {
                if let Message::Image(Image { source, .. }) = message
                    && let ImageSource::File { path, sha256 } = source
                {
                    let image = STANDARD.encode(file(&folder, path, sha256)?);
                    // Checked after each file, so that many references to a few files take no more memory than a request.
                    left = left.checked_sub(image.len()).ok_or_else(|| {
                        Problem::TooLong(format!("the images have more than {REQUEST_BYTES_MAX} bytes together"))
                    })?;
                    *source = ImageSource::Base64(image);
                }
            }
            Ok(self)
        });
        read.await.map_err(|error| Problem::Unavailable(error.to_string()))?
    }
}

/// A JSON object of the members that are present.
pub(super) fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect())
}

/// The temperature that the agent names. Where the host compares several answers, the server's own is used: with 0 they
/// would be equal, however unsure the model is.
pub(super) fn temperature(model: &Model, request: &Request) -> Option<Value> {
    let compared = matches!(model.uncertainty, Uncertainty::Samples(_));
    request.temperature.clone().filter(|_| !compared).map(Value::from)
}

/// The tools in the form of a server; `None` without any.
pub(super) fn tools(request: &Request, form: fn(&Tool) -> Value) -> Option<Value> {
    Some(request.tools.iter().map(form).collect()).filter(|_| !request.tools.is_empty())
}

impl Image {
    fn is_image(&self) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        self.media_type.strip_prefix("image/").is_some_and(|kind| !kind.is_empty() && kind.chars().all(plain))
    }

    /// The image in Base64.
    pub(super) fn base64(&self) -> &str {
        match &self.source {
            ImageSource::Base64(text) => text,
            ImageSource::File { .. } => "",
        }
    }
}

/// Reads a file of the workspace, which must have the digest that the agent names.
fn file(folder: &PathBuf, path: &str, sha256: &str) -> Result<Vec<u8>, Problem> {
    let invalid = |why: &dyn std::fmt::Display| Problem::Invalid(format!("the image `{path}`: {why}"));
    let spelled: SpelledPath = path.parse().map_err(|why| invalid(&why))?;
    let top = File::open(folder).map_err(|error| invalid(&error))?.into();
    let file = File::from(walk(&top, spelled.names()).map_err(|error| invalid(&error))?);
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(invalid(&"this is no file"));
    }
    let mut bytes = Vec::new();
    file.take(IMAGE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| invalid(&error))?;
    if bytes.len() as u64 > IMAGE_BYTES_MAX {
        return Err(invalid(&format_args!("it has more than {IMAGE_BYTES_MAX} bytes")));
    }
    let found = Digest::of(&bytes).to_string();
    if found.strip_prefix("sha256:") != Some(sha256.trim_start_matches("sha256:")) {
        return Err(invalid(&format_args!("its digest is {found}, not {sha256}")));
    }
    Ok(bytes)
}
