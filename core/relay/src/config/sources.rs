//! The sources of configuration, and its errors.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use hyper::http::uri::Authority;
use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

use super::RelayConfig;

/// Environment variables: `PEERS_RELAY_BIND`, and `__` for the dot in `limits.max_sockets`.
const ENV_PREFIX: &str = "PEERS_RELAY_";

/// Devices fetch credentials again this long before they end: shorter ones are spent at once.
const MIN_TURN_TTL: u64 = 60;

/// A configuration that cannot be used. Each names where and what to change.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
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
        /// The value that was found and the kind that was expected.
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
        let config = check(&table, "configuration")?;
        // Settings of several sources together: `access.rule` may come from one and its list from another.
        config.access.check_whole().map_err(|(key, expected)| ConfigError::Value {
            origin: "configuration".to_owned(),
            key: key.to_owned(),
            expected,
        })?;
        Ok(config)
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
        if let super::TurnConfig::Rest { ttl_seconds: ttl @ ..MIN_TURN_TTL, .. } = turn {
            return wrong(
                "ice.turn",
                &format!("`ttl_seconds` is {ttl}, too small, expected {MIN_TURN_TTL} or more"),
            );
        }
    }
    if let Some(name) = config.names.iter().find(|name| !is_name(name)) {
        return wrong(
            "names",
            &format!("`{name}` is not a name, expected `host` or `host:port` in lower case"),
        );
    }
    if let Err((key, expected)) = config.access.check() {
        return wrong(key, &expected);
    }
    if let Some((key, value, least)) = config.limits.too_small() {
        return wrong(&format!("limits.{key}"), &format!("{value} is too small, expected {least} or more"));
    }
    Ok(config)
}

/// `host` or `host:port`, as devices find them in a URL.
fn is_name(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else { return false };
    let host = authority.host();
    let whole = authority.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    whole == text && text.to_lowercase() == text
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
pub(super) fn one_or_many<'de, D, T, C>(d: D) -> Result<C, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: std::fmt::Display>,
    C: FromIterator<T> + IntoIterator<Item = T>,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of texts, or one text with commas")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    let texts = match OneOrMany::deserialize(d)? {
        OneOrMany::One(text) => {
            text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(Into::into).collect()
        }
        OneOrMany::Many(list) => list,
    };
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;
    use crate::config::{AccessRule, TurnConfig};

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn load(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<RelayConfig, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("peers-relay-{}-{}.toml", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, file).unwrap();
        let config = RelayConfig::from_sources(Some(&path), pairs(env), pairs(flags));
        std::fs::remove_file(&path).unwrap();
        config.map_err(|e| e.to_string().replace(&path.display().to_string(), "FILE"))
    }

    #[test]
    fn later_sources_win_key_by_key() {
        let file = r#"
            bind = "0.0.0.0:1"
            names = ["relay.example.com"]
            [limits]
            max_sockets = 10
            max_sockets_per_ip = 10
        "#;
        let env = [
            ("PEERS_RELAY_BIND", "0.0.0.0:2"),
            ("PEERS_RELAY_LIMITS__MAX_SOCKETS", "20"),
            ("PEERS_RELAY_ICE__STUN", "stun:one.example.com:3478, stun:two.example.com:3478"),
            ("PATH", "ignored"),
        ];
        let config = load(file, &env, &[("bind", "0.0.0.0:3")]).unwrap();
        assert_eq!(config.bind, ([0, 0, 0, 0], 3).into());
        assert_eq!(config.names, ["relay.example.com"]);
        assert_eq!((config.limits.max_sockets, config.limits.max_sockets_per_ip), (20, 10));
        assert_eq!(config.ice.stun, ["stun:one.example.com:3478", "stun:two.example.com:3478"]);
    }

    // proves S165 S167
    #[test]
    fn turn_servers_are_configured_in_a_file_or_a_variable() {
        let file = r#"
            [[ice.turn]]
            urls = ["turn:one.example.com:3478"]
            username = "u"
            credential = "c"
            [[ice.turn]]
            urls = ["turn:two.example.com:3478"]
            secret = "s"
        "#;
        let config = load(file, &[], &[]).unwrap();
        assert!(matches!(
            &config.ice.turn[..],
            [TurnConfig::Static { .. }, TurnConfig::Rest { ttl_seconds: 28_800, .. }]
        ));
        let turn = r#"[{urls=["turn:three.example.com"], secret="s", ttl_seconds=60}]"#;
        let config = load(file, &[("PEERS_RELAY_ICE__TURN", turn)], &[]).unwrap();
        assert!(matches!(&config.ice.turn[..], [TurnConfig::Rest { ttl_seconds: 60, .. }]));
    }

    #[test]
    fn errors_name_the_source_the_key_and_what_was_expected() {
        let error = |file, env: &[_], flags: &[_]| load(file, env, flags).unwrap_err();
        for (found, parts) in [
            (error("[limits]\nmax_sockets = \"many\"", &[], &[]), ["FILE", "`limits.max_sockets`", "usize"]),
            (
                error("", &[("PEERS_RELAY_LIMITS__IDLE_SECONDS", "-1")], &[]),
                ["PEERS_RELAY_LIMITS__IDLE_SECONDS", "`limits.idle_seconds`", "u64"],
            ),
            (error("", &[], &[("bind", "relay")]), ["command line", "`bind`", "socket address"]),
            (error("sockets = 1", &[], &[]), ["FILE", "`sockets`", "expected one of `bind`"]),
            (
                error("", &[("PEERS_RELAY_BIND__X", "1")], &[("bind", "x")]),
                ["PEERS_RELAY_BIND__X", "`bind", ""],
            ),
            (error("ice.stun = [\"one.example.com\"]", &[], &[]), ["FILE", "`ice.stun`", "`stun:host:port`"]),
            (error("names = [\"https://x/\"]", &[], &[]), ["FILE", "`names`", "`host:port`"]),
            (error("", &[], &[("names", "a, b:x")]), ["command line", "`b:x`", "`host:port`"]),
            (error("", &[], &[("names", "A")]), ["command line", "`A`", "lower case"]),
            (
                error("[[ice.turn]]\nurls = [\"turn:x\"]\nsecrt = \"s\"", &[], &[]),
                ["FILE", "`ice.turn", "`secret`"],
            ),
            (error("bind = ", &[], &[]), ["FILE", "not TOML", "line 1"]),
        ] {
            assert!(parts.iter().all(|part| found.contains(part)), "{found}");
        }
        let missing = RelayConfig::from_sources(Some(Path::new("/nonexistent/relay.toml")), [], []);
        assert!(missing.unwrap_err().to_string().contains("/nonexistent/relay.toml"));
    }

    #[test]
    fn a_limit_that_serves_no_device_is_refused_with_the_least_it_may_be() {
        for key in [
            "max_sockets",
            "max_sockets_per_ip",
            "idle_seconds",
            "messages_per_second",
            "messages_burst",
            "relay_bytes_per_second",
            "relay_burst",
            "relay_queue_bytes",
            "relay_queue_total",
            "message_bytes_per_device",
            "message_memory_total",
            "knock_seconds",
            "knocked_burst",
            "knocked_per_second",
            "registrations_per_second",
            "registrations_burst",
            "max_half_open",
        ] {
            let key = format!("limits.{key}");
            let error = load("", &[], &[(&key, "0")]).unwrap_err();
            assert!(
                error.starts_with(&format!("command line: `{key}`: 0 is too small, expected ")),
                "{error}"
            );
        }
        let none =
            [("limits.relay_connections", "0"), ("limits.queue_per_pair", "0"), ("limits.knock_burst", "0")];
        assert!(load("", &[], &none).is_ok());
        let turn = r#"[{urls=["turn:x"], secret="s", ttl_seconds=0}]"#;
        let error = load("", &[("PEERS_RELAY_ICE__TURN", turn)], &[]).unwrap_err();
        assert!(error.contains("`ttl_seconds` is 0, too small, expected 60 or more"), "{error}");
    }

    #[test]
    fn access_is_a_rule_and_its_list_from_any_source() {
        let (device, user) = ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "mzxw6ytbojtg633cmfzgm33pmjqxeztp");
        let file = format!("access.devices = [\"{device}\"]\n");
        let env = [("PEERS_RELAY_ACCESS__USERS", user), ("PEERS_RELAY_ACCESS__RULE", "list")];
        let config = load(&file, &env, &[]).unwrap();
        assert_eq!(config.access.rule, AccessRule::List);
        assert!(config.access.devices.contains(&device.parse().unwrap()));
        assert!(config.access.users.contains(&user.parse().unwrap()));

        let flags = [("access.rule", "token"), ("access.tokens", "one, two")];
        let config = load("", &[], &flags).unwrap();
        assert_eq!(
            (config.access.rule, config.access.tokens),
            (AccessRule::Token, vec!["one".into(), "two".into()])
        );

        let error = |file: &str| load(file, &[], &[]).unwrap_err();
        for (file, parts) in [
            ("access.rule = \"nobody\"", ["`access.rule`", "`everyone`"]),
            ("access.rule = \"list\"", ["`access.rule`", "`access.devices`"]),
            ("access.rule = \"token\"", ["`access.rule`", "`access.tokens`"]),
            ("access.tokens = [\"hush\"]", ["`access.rule`", "the rule `token`"]),
            (&file, ["`access.rule`", "the rule `list`"]),
            ("access.devices = [\"me\"]", ["FILE", "`access.devices`"]),
            ("access.tokens = [\"\"]", ["`access.tokens`", "1 to 256 bytes"]),
        ] {
            let found = error(file);
            assert!(parts.iter().all(|part| found.contains(part)), "{found}");
        }
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let turn =
            r#"[{urls=["turn:x"], secret="hush"}, {urls=["turn:y"], username="u", credential="hush"}]"#;
        let config = load("", &[("PEERS_RELAY_ICE__TURN", turn)], &[]).unwrap();
        let text = format!("{config:?}");
        assert!(text.contains("turn:x") && !text.contains("hush"), "{text}");
        let token = load("", &[], &[("access.rule", "token"), ("access.tokens", "hush")]).unwrap();
        assert!(!format!("{token:?}").contains("hush"));
    }
}
