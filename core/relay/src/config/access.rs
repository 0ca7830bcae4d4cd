//! The rule for devices that may register.

use std::collections::HashSet;

use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::{DeviceId, UserId};
use peers_proto::limits;
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::sources;

/// The devices that may register, and so get TURN servers and everything else.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    /// The rule. The other keys belong to one each.
    pub rule: AccessRule,
    /// With [`AccessRule::List`]: devices that are admitted.
    #[serde(deserialize_with = "sources::one_or_many")]
    pub devices: HashSet<DeviceId>,
    /// With [`AccessRule::List`]: users all of whose devices are admitted.
    #[serde(deserialize_with = "sources::one_or_many")]
    pub users: HashSet<UserId>,
    /// With [`AccessRule::Token`]: a device that brings one of these is admitted. Several, so that one can be replaced
    /// while devices still bring the other.
    #[serde(deserialize_with = "sources::one_or_many")]
    pub tokens: Vec<String>,
}

/// See [`AccessConfig`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessRule {
    /// Every device that proves its key.
    #[default]
    Everyone,
    /// Listed devices, and devices of listed users.
    List,
    /// Devices that bring a token.
    Token,
}

impl AccessConfig {
    /// True if the device of `certificate`, which it has proven, may register.
    pub(crate) fn admits(&self, certificate: &DeviceCertificate, token: Option<&str>) -> bool {
        match self.rule {
            AccessRule::Everyone => true,
            AccessRule::List => {
                self.devices.contains(&certificate.device_id()) || self.users.contains(&certificate.user_id())
            }
            AccessRule::Token => {
                let token = token.unwrap_or_default().as_bytes();
                // Every one is compared, each in a time that tells nothing but its length.
                let equal = self.tokens.iter().map(|known| known.as_bytes().ct_eq(token));
                equal.fold(subtle::Choice::from(0), |any, equal| any | equal).into()
            }
        }
    }

    /// The key that is wrong, and what was expected.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if let Some(token) = self.tokens.iter().find(|t| t.is_empty() || t.len() > limits::MAX_ACCESS_TOKEN) {
            let expected = format!("expected 1 to {} bytes", limits::MAX_ACCESS_TOKEN);
            return Err(("access.tokens", format!("a token has {} bytes, {expected}", token.len())));
        }
        Ok(())
    }

    /// The same for what is wrong only as a whole.
    pub(super) fn check_whole(&self) -> Result<(), (&'static str, String)> {
        let listed = !self.devices.is_empty() || !self.users.is_empty();
        let wrong = match self.rule {
            AccessRule::List if !listed => "expected `access.devices` or `access.users` with the rule `list`",
            AccessRule::Token if self.tokens.is_empty() => "expected `access.tokens` with the rule `token`",
            // A list without its rule would admit everyone, against what the operator wrote it for.
            AccessRule::Everyone | AccessRule::Token if listed => {
                "expected the rule `list` with `access.devices` or `access.users`"
            }
            AccessRule::Everyone | AccessRule::List if !self.tokens.is_empty() => {
                "expected the rule `token` with `access.tokens`"
            }
            _ => return Ok(()),
        };
        Err(("access.rule", wrong.to_owned()))
    }
}

impl std::fmt::Debug for AccessConfig {
    /// Without tokens: configurations end up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessConfig")
            .field("rule", &self.rule)
            .field("devices", &self.devices.len())
            .field("users", &self.users.len())
            .field("tokens", &self.tokens.len())
            .finish()
    }
}
