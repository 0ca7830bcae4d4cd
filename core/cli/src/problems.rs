//! Relays that are not reached: the reason in words, and the flag or setting that helps.

use std::time::Duration;

use peers::{Client, Disconnect, RelayState, RelayStatus};

use crate::error::CommandError;
use crate::event::CommandEvent;
use crate::print::Printer;

/// A client has tried again by then.
const SECOND_TRY: Duration = Duration::from_secs(3);

/// Shows each relay's problem, for ever. A relay is tried again and again: a reason is shown when it is another one.
pub(crate) async fn show(client: &Client, printer: Printer) {
    let mut relays = client.watch_relays();
    let mut shown: Vec<Option<Disconnect>> = vec![None; relays.borrow().len()];
    loop {
        for (relay, shown) in relays.borrow_and_update().iter().zip(&mut shown) {
            if let Some(problem) = &relay.problem
                && relay.problem != *shown
            {
                let message = explain(relay);
                printer.note(&CommandEvent::RelayProblem {
                    relay: relay.url.clone(),
                    code: problem.code(),
                    message,
                });
            }
            shown.clone_from(&relay.problem);
        }
        if relays.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Waits until no relay is worth waiting for: the host of each has decided, or is not reached in a second try either.
pub(crate) async fn none_left(client: &Client) -> CommandError {
    if client.relays().is_empty() {
        return std::future::pending().await;
    }
    let (mut at_once, mut later) = (client.watch_relays(), client.watch_relays());
    let second_try = async {
        tokio::time::sleep(SECOND_TRY).await;
        later.wait_for(|relays| relays.iter().all(|relay| fails(relay, |_| true))).await
    };
    let relays = tokio::select! {
        relays = at_once.wait_for(|relays| relays.iter().all(|relay| fails(relay, is_decision))) => relays,
        relays = second_try => relays,
    };
    match relays {
        Ok(relays) => unreachable(&relays),
        Err(_) => std::future::pending().await,
    }
}

fn fails(relay: &RelayStatus, for_good: impl FnOnce(&Disconnect) -> bool) -> bool {
    match &relay.state {
        RelayState::Waiting { reason, .. } => is_answer(reason) && for_good(reason),
        _ => false,
    }
}

/// The reason of each relay.
pub(crate) fn unreachable(relays: &[RelayStatus]) -> CommandError {
    let reasons: Vec<_> = relays.iter().map(explain).collect();
    peers::Error::Offline(reasons.join("; ")).into()
}

/// True if the relay's host has decided. A host that is not found or not reached may be there in a moment: after a wake-up, while
/// a relay starts again.
fn is_decision(reason: &Disconnect) -> bool {
    !matches!(reason.code(), "not-found" | "unreachable")
}

/// True for an answer, as opposed to silence and to the load of the moment.
fn is_answer(reason: &Disconnect) -> bool {
    !matches!(reason.code(), "silent" | "broken" | "closed" | "network-changed" | "refused")
}

fn explain(relay: &RelayStatus) -> String {
    let RelayStatus { url, problem, .. } = relay;
    let Some(problem) = problem else { return format!("{url}: no answer yet") };
    let help = match problem.code() {
        "wrong-name" => {
            let name = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(url);
            format!(". Dial a name that it has, or add {name:?} there")
        }
        "not-a-relay" => ": see the host and the path; a proxy forwards `/v1`".into(),
        "not-admitted" => ": see --relay-token".into(),
        // Not for a host that has no TLS at all.
        "tls" if problem.to_string().contains("certificate") => ": see --relay-ca and --relay-pin".into(),
        _ => String::new(),
    };
    format!("{url}: {problem}{help}")
}
