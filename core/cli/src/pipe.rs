//! `peers pipe`: standard input and output, joined to those of the same command on another device.
//!
//! 1. The device that connects opens a stream of the name [`NAME`].
//! 2. Each end writes its standard input to the stream, and the stream to its standard output.
//! 3. An end whose standard output has all of it sends [`Tally::receipt`](crate::tally::Tally::receipt) as a message.
//! 4. An end is done when it has sent its receipt and got the right one.
//!
//! The receipt is a message, since messages that have arrived can be taken after the end of the session. The other end may be done,
//! and leave, before this one looks.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use clap::Args;
use peers::{Client, DeviceId, Events, InboundStream, RecvStream, SendStream, Session, StreamError};
use tokio::sync::mpsc;

use crate::device::{self, DeviceArgs};
use crate::error::CommandError;
use crate::event::CommandEvent;
use crate::listen::{ListeningDevice, Service};
use crate::print::{self, Printer};
use crate::receive::{self, Reason};
use crate::{flow, problems};

/// No file has this name: it has a folder.
pub(crate) const NAME: &str = "peers/pipe";

/// The code of an end that runs another command.
pub(crate) const NO_PIPE: u64 = 1;
/// The code of an end that has its pipe.
const TAKEN: u64 = 2;

/// The time for the receipt to arrive, over a slow path too.
const RECEIPT_PATIENCE: Duration = Duration::from_secs(10);

/// A pipe that another device has opened.
pub(crate) type PipeOffer = (Session, InboundStream);

#[derive(Args)]
pub(crate) struct PipeArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// The id of the device that runs `peers pipe --listen`.
    #[arg(required_unless_present = "listen", conflicts_with = "listen")]
    to: Option<DeviceId>,
    /// Waits for a device that connects, and takes one pipe.
    #[arg(long, short)]
    listen: bool,
    /// Lets every device connect, and not only knock. `--trust` decides what becomes of it.
    #[arg(long, conflicts_with = "to")]
    open: bool,
}

pub(crate) async fn run(args: &PipeArgs, printer: Printer) -> Result<(), CommandError> {
    device::run(&args.device, args.open, async |client, events| match args.to {
        Some(to) => connect(client, events, printer, to).await,
        None => listen(client, events, printer).await,
    })
    .await
}

async fn connect(
    client: &Client,
    events: Events,
    printer: Printer,
    to: DeviceId,
) -> Result<(), CommandError> {
    tokio::spawn(device::show_digits(events, printer));
    let session = device::session(client, printer, to).await?;
    let (send, recv) = session.open_stream(NAME)?;
    join(&session, send, recv).await
}

async fn listen(client: &Client, events: Events, printer: Printer) -> Result<(), CommandError> {
    printer.print(&CommandEvent::listening(client))?;
    let (offers, mut offered) = mpsc::channel(1);
    let listener = ListeningDevice::new(printer, Service::Pipe(offers));
    let joined = async {
        let (session, stream) = offered.recv().await.ok_or(peers::Error::Closed)?;
        offered.close();
        join(&session, stream.send, stream.recv).await
    };
    tokio::select! {
        outcome = joined => outcome,
        outcome = listener.listen(events) => outcome.and(Err(peers::Error::Closed.into())),
        () = problems::show(client, printer) => Err(peers::Error::Closed.into()),
    }
}

/// Offers the pipes that a session's other device opens, and refuses all else.
pub(crate) async fn offer(session: Session, offers: mpsc::Sender<PipeOffer>) {
    while let Ok(stream) = session.accept_stream().await {
        if stream.name != NAME {
            tokio::spawn(receive::refuse(stream.send, stream.recv, Reason::Pipe));
        } else if let Err(late) = offers.try_send((session.clone(), stream)) {
            refuse(late.into_inner().1, TAKEN);
        }
    }
}

/// Refuses a pipe.
pub(crate) fn refuse(mut stream: InboundStream, code: u64) {
    stream.recv.stop(code);
    stream.send.reset(code);
}

/// Joins standard input and output to a stream, until both directions have ended.
async fn join(session: &Session, send: SendStream, recv: RecvStream) -> Result<(), CommandError> {
    let joined = tokio::try_join!(outgoing(session, send), incoming(session, recv));
    joined.map(|_| ()).map_err(|error| match error {
        CommandError::Peers(peers::Error::Stream(
            StreamError::Reset(code @ (NO_PIPE | TAKEN)) | StreamError::Stopped(code @ (NO_PIPE | TAKEN)),
        )) => {
            let reason =
                if code == TAKEN { "it has another pipe" } else { "it does not run `peers pipe --listen`" };
            CommandError::NoPipe { device: session.device(), reason }
        }
        error => error,
    })
}

async fn outgoing(session: &Session, mut send: SendStream) -> Result<(), CommandError> {
    let damaged = || CommandError::Damaged("the other side wrote something else");
    let mut input = tokio::io::stdin();
    let sent = tokio::select! {
        biased;
        sent = flow::upload(&mut input, "standard input", &mut send, |_| {}) => sent?,
        // The end of the session, while nothing comes from standard input. There is nothing to receipt yet.
        early = session.recv() => return early.map_err(Into::into).and_then(|_| Err(damaged())),
    };
    // A session that ends here may have done so because the other end has everything: the receipt decides.
    let finished = send.finish().await;
    match session.recv().await {
        Ok(receipt) if receipt.body == sent.receipt() => Ok(()),
        Ok(_) => Err(damaged()),
        Err(ended) => Err(finished.err().unwrap_or(ended).into()),
    }
}

/// Ends standard output: its reader does not wait for the other direction.
fn close_output() -> io::Result<()> {
    let nothing = File::options().write(true).open("/dev/null")?;
    // SAFETY: Both descriptors are open, and the standard library holds no state about the one that is replaced.
    let replaced = unsafe { libc::dup2(nothing.as_raw_fd(), libc::STDOUT_FILENO) };
    if replaced < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

async fn incoming(session: &Session, mut recv: RecvStream) -> Result<(), CommandError> {
    // Without the buffer of the library's own handle: a line is there as soon as it has come.
    let output = std::io::stdout().as_fd().try_clone_to_owned().map_err(print::output_error)?;
    let (output, taken) = flow::download(&mut recv, File::from(output), print::output_error).await?;
    drop(output);
    close_output().map_err(print::output_error)?;
    session.send_bytes(taken.receipt()).await?;
    // Where it does not arrive, the other end says so.
    let _ = tokio::time::timeout(RECEIPT_PATIENCE, session.drain()).await;
    Ok(())
}
