//! Settings of core/docs/relay.md, run as the page has them: reverse proxies in front of the relay, and coturn.

use std::path::{Path, PathBuf};
use std::time::Duration;

use peers_relay::RelayConfig;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::pair::Pair;
use crate::Outcome;
use crate::nat::{Carrier, Nat};
use crate::runner::Scenario;
use crate::world::{FAR, Ice, NEAR, SECRET, TURN_ADDRESS, World};

const PAGE: &str = include_str!("../../../../../core/docs/relay.md");
const NAME: &str = "relay.example.com";
/// The page's timeout of proxies, and a quick run's: more than a device's beat of 30 s, and less than it is
/// watched.
const TIMEOUT: [&str; 2] = ["3m", "50s"];

pub(crate) fn all(quick: bool) -> Vec<Scenario> {
    let seconds = if quick { 75 } else { 600 };
    let proxies = [Proxy::Nginx, Proxy::Caddy, Proxy::Haproxy].map(|proxy| {
        let name = format!("proxy as documented: {}, {seconds} s idle", proxy.language());
        Scenario::new(name, move |folder| behind(folder, proxy, seconds, quick)).idle()
    });
    let turn = Scenario::new("coturn as documented", documented_turn);
    proxies.into_iter().chain([turn]).collect()
}

#[derive(Debug, Clone, Copy)]
enum Proxy {
    Nginx,
    Caddy,
    Haproxy,
}

/// A certificate of an authority that is made up, and the files the page names.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn new(folder: &Path) -> Outcome<Self> {
        let files = Self { folder: folder.to_owned() };
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let (authority_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
        let root = authority.self_signed(&authority_key)?.pem();
        let certificate = CertificateParams::new([NAME.to_owned()])?
            .signed_by(&key, &Issuer::new(authority, authority_key))?
            .pem();
        std::fs::write(files.path("ca.pem"), root)?;
        std::fs::write(files.path("fullchain.pem"), &certificate)?;
        std::fs::write(files.path("privkey.pem"), key.serialize_pem())?;
        std::fs::write(files.path("both.pem"), certificate + &key.serialize_pem())?;
        Ok(files)
    }

    fn path(&self, file: &str) -> String {
        self.folder.join(file).to_string_lossy().into_owned()
    }
}

impl Proxy {
    /// Of its block on the page, and its program.
    fn language(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
        }
    }

    /// The page's configuration inside what a distribution has around it, with the certificates of `files`.
    fn config(self, files: &Files, block: &str) -> String {
        match self {
            Self::Nginx => {
                let block = block.replace("/etc/letsencrypt/live/relay.example.com", &files.path(""));
                let pid = files.path("nginx.pid");
                format!(
                    "user root;\ndaemon off;\npid {pid};\nevents {{}}\nhttp {{\naccess_log off;\n{block}}}\n"
                )
            }
            Self::Caddy => {
                let certificate = [files.path("fullchain.pem"), files.path("privkey.pem")].join(" ");
                block.replacen("{\n", &format!("{{\n    tls {certificate}\n"), 1)
            }
            Self::Haproxy => block.replace("/etc/haproxy/relay.example.com.pem", &files.path("both.pem")),
        }
    }

    fn command(self, world: &World, config: &str) -> Command {
        let mut command = world.inside("net", self.language());
        match self {
            Self::Nginx => command.args(["-e", "stderr", "-c", config]),
            Self::Caddy => command.args(["run", "--adapter", "caddyfile", "--config", config]),
            Self::Haproxy => command.args(["-db", "-f", config]),
        };
        command
    }
}

/// A device that says nothing, behind a proxy, is never away.
async fn behind(folder: PathBuf, proxy: Proxy, seconds: u64, quick: bool) -> Outcome<Value> {
    let mut world = World::new(&folder).await?;
    world.add_router(1, Nat::PortRestricted, NEAR).await?;
    world.add_device("a", "wlan0", 1).await?;
    world.resolve("a", NAME, "203.0.113.1")?;

    let files = Files::new(&folder)?;
    let toml = files.path("relay.toml");
    std::fs::write(&toml, block("toml")?)?;
    let mut relay = world.spawn("net", "relay", &["relay", "--config", &toml])?;
    relay.line(Duration::from_secs(20)).await?;
    let tokens = RelayConfig::from_sources(Some(Path::new(&toml)), [], [])?.access.tokens;
    let token = tokens.first().ok_or("the page's relay takes no token")?;

    let block = block(proxy.language())?;
    let block = if quick { block.replace(TIMEOUT[0], TIMEOUT[1]) } else { block };
    let config = files.path("proxy.conf");
    std::fs::write(&config, proxy.config(&files, &block))?;
    let mut command = proxy.command(&world, &config);
    // Caddy keeps its state there.
    command.env("HOME", &folder).env("XDG_DATA_HOME", &folder).env("XDG_CONFIG_HOME", &folder);
    let _proxy = serve(&world, command, &folder.join("proxy.log"), "tcp", 443).await?;

    let (url, ca) = (format!("wss://{NAME}"), files.path("ca.pem"));
    let flags = ["--relay", &url, "--ca", &ca, "--token", token, "--seconds", &seconds.to_string()];
    let mut device = world.spawn("a", "device", &[["registered"].as_slice(), &flags].concat())?;
    let said = device.line(Duration::from_secs(30)).await?;
    if said != "registered" {
        return Err(said.into());
    }
    let private = format!("https://{NAME}/metrics");
    let mut curl = world.inside("a", "curl");
    let metrics = curl.args(["--silent", "--max-time", "5", "--cacert", &ca, &private]).output().await?;
    if String::from_utf8_lossy(&metrics.stdout).contains("peers_relay") {
        return Err("the proxy forwards the relay's metrics".into());
    }
    let said = device.line(Duration::from_secs(seconds + 30)).await?;
    let value: Value = serde_json::from_str(&said)?;
    let held = value == json!({ "registrations": 1, "left": [] });
    if held { Ok(value) } else { Err(said.into()) }
}

/// Two devices that only TURN brings together.
async fn documented_turn(folder: PathBuf) -> Outcome<Value> {
    let mut world = World::new(&folder).await?;
    for (router, wire, device) in [(1, FAR, "a"), (2, NEAR, "b")] {
        world.add_router(router, Nat::Symmetric, wire).await?;
        world.add_device(device, "wlan0", router).await?;
    }
    let config = folder.join("turnserver.conf");
    let text = block("coturn")?.replace("the same as the relay's `secret`", SECRET);
    let addresses = format!("listening-ip={TURN_ADDRESS}\nrelay-ip={TURN_ADDRESS}\n");
    std::fs::write(&config, text + &addresses)?;
    let mut command = world.inside("net", "turnserver");
    command.arg("-c").arg(&config).arg("--log-file=stdout");
    command.arg("--no-tls").arg("--no-dtls").current_dir(&folder);
    let userdb = format!("--userdb={}", folder.join("turndb").display());
    let pid = format!("--pidfile={}", folder.join("pid").display());
    let log = folder.join("coturn.log");
    let _turn = serve(
        &world,
        {
            command.args([userdb, pid]);
            command
        },
        &log,
        "udp",
        3478,
    )
    .await?;
    world.start_relay(Ice::Turn).await?;
    let mut pair = Pair::connect(&world, Carrier::Turn).await?;
    let to = pair.b.id;
    Ok(json!({ "call_ms": pair.a.dial(to).await? }))
}

/// A server that runs until it is dropped, once it listens.
async fn serve(world: &World, mut command: Command, log: &Path, protocol: &str, port: u16) -> Outcome<Child> {
    let log_file = std::fs::File::create(log)?;
    let mut server = command.stdout(log_file.try_clone()?).stderr(log_file).spawn()?;
    let flags = if protocol == "udp" { "-Hlun" } else { "-Hltn" };
    for _ in 0..200 {
        let source = format!(":{port}");
        let listening = world.inside("net", "ss").args([flags, "sport", "=", &source]).output().await?;
        if !listening.stdout.is_empty() {
            return Ok(server);
        }
        if let Some(status) = server.try_wait()? {
            return Err(format!("it ended with {status}: {}", log.display()).into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(format!("it does not listen: {}", log.display()).into())
}

/// The page's first block of a language.
fn block(language: &str) -> Outcome<String> {
    let begin = format!("\n```{language}\n");
    let block = PAGE.split_once(&begin).and_then(|(_, rest)| rest.split_once("\n```"));
    let (block, _) = block.ok_or_else(|| format!("the page has no block of {language}"))?;
    Ok(format!("{block}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_what_is_run() {
        for language in ["toml", "nginx", "caddy", "haproxy", "coturn"] {
            assert!(block(language).is_ok_and(|block| block.lines().count() > 1), "{language}");
        }
        for proxy in ["nginx", "haproxy"] {
            assert!(block(proxy).unwrap().contains(TIMEOUT[0]), "{proxy}");
        }
    }
}
