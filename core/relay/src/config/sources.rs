//! Where configuration comes from, and what is said when it is wrong.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

use super::RelayConfig;

/// Environment variables: `PEERS_RELAY_BIND`, and `__` for the dot in `limits.max_sockets`.
const ENV_PREFIX: &str = "PEERS_RELAY_";

/// A configuration that cannot be used. Each names where and what to change.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {path} is not TOML: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected there.
        message: String,
    },
    /// A key is unknown, or its value is of the wrong type or out of range.
    #[error("{origin}: `{key}`: {expected}")]
    Value {
        /// The file, the environment variable or the flag.
        origin: String,
        /// The key, with dots.
        key: String,
        /// What was found and what was expected.
        expected: String,
    },
}

impl RelayConfig {
    /// Reads the file, if there is one, then `PEERS_RELAY_*` among `env`, then `overrides` (keys with dots, as
    /// `limits.max_sockets`). Values outside the file are TOML, or a plain text where that is not TOML.
    ///
    /// # Errors
    /// [`ConfigError`], for the first key that is wrong.
    pub fn from_sources(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table = Table::new();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
            table = text.parse().map_err(|e: toml::de::Error| ConfigError::Syntax {
                path: path.to_owned(),
                message: e.to_string(),
            })?;
            check(&table, &path.display().to_string())?;
        }
        let env = env.into_iter().filter_map(|(name, value)| {
            let key = name.strip_prefix(ENV_PREFIX)?.to_ascii_lowercase().replace("__", ".");
            Some((format!("environment variable {name}"), key, value))
        });
        let overrides = overrides.into_iter().map(|(key, value)| ("command line".to_owned(), key, value));
        for (origin, key, value) in env.chain(overrides) {
            set(&mut table, &key, parse(&value)).map_err(|expected| ConfigError::Value {
                origin: origin.clone(),
                key: key.clone(),
                expected: expected.to_owned(),
            })?;
            check(&table, &origin)?;
        }
        check(&table, "configuration")
    }
}

/// After every source, so that the error names the source.
fn check(table: &Table, origin: &str) -> Result<RelayConfig, ConfigError> {
    let config: RelayConfig = serde_path_to_error::deserialize(Value::Table(table.clone())).map_err(|e| {
        let expected = e.inner().to_string().trim().to_owned();
        ConfigError::Value { origin: origin.to_owned(), key: e.path().to_string(), expected }
    })?;
    let wrong = |key: &str, expected: &str| {
        Err(ConfigError::Value {
            origin: origin.to_owned(),
            key: key.to_owned(),
            expected: expected.to_owned(),
        })
    };
    if let Some(url) =
        config.ice.stun.iter().find(|url| !url.starts_with("stun:") && !url.starts_with("stuns:"))
    {
        return wrong("ice.stun", &format!("`{url}` is not a STUN URL, expected `stun:host:port`"));
    }
    for turn in &config.ice.turn {
        let (super::TurnConfig::Static { urls, .. } | super::TurnConfig::Rest { urls, .. }) = turn;
        if let Some(url) = urls.iter().find(|url| !url.starts_with("turn:") && !url.starts_with("turns:")) {
            return wrong("ice.turn", &format!("`{url}` is not a TURN URL, expected `turn:host:port`"));
        }
    }
    if let Some(name) =
        config.names.iter().find(|n| n.is_empty() || n.contains('/') || n.to_lowercase() != **n)
    {
        return wrong(
            "names",
            &format!("`{name}` is not a name, expected `host` or `host:port` in lower case"),
        );
    }
    Ok(config)
}

fn parse(text: &str) -> Value {
    format!("v = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn set(table: &mut Table, key: &str, value: Value) -> Result<(), &'static str> {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
            Ok(())
        }
        Some((head, rest)) => match table.entry(head).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(inner) => set(inner, rest, value),
            _ => Err("a key inside a value that is not a table"),
        },
    }
}

/// A list, or one text with commas: what fits into an environment variable.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of texts, or one text with commas")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(d)? {
        OneOrMany::One(text) => {
            text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(Into::into).collect()
        }
        OneOrMany::Many(list) => list,
    })
}
