//! A long link: two TUN devices and what happens to packets between them.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use crate::Outcome;

/// Packets on their way in one direction; more are dropped, as a router's queue would.
const QUEUE: usize = 4096;
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const IFF_TUN_NO_PI: u16 = 0x1001;

#[derive(Args)]
pub(crate) struct Link {
    /// Names of the two ends, in this namespace; they may be moved to others.
    ends: Vec<String>,
    /// One way.
    #[arg(long)]
    delay_us: u64,
    /// Percent of packets lost, in each direction, each on its own.
    #[arg(long)]
    loss: u64,
}

/// Says `ready` and carries packets until it is killed.
pub(crate) fn run(link: &Link) -> Outcome<()> {
    let [near, far] = link.ends.as_slice() else { return Err("a link has two ends".into()) };
    let (near, far) = (tun(near)?, tun(far)?);
    let (near_again, far_again) = (near.try_clone()?, far.try_clone()?);
    let delay = Duration::from_micros(link.delay_us);
    carry(near, far, delay, Dice(0x9e37_79b9_7f4a_7c15), link.loss);
    carry(far_again, near_again, delay, Dice(0xd1b5_4a32_d192_ed03), link.loss);
    println!("ready");
    loop {
        thread::park();
    }
}

fn tun(name: &str) -> Outcome<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    // `struct ifreq`: the name, then the flags.
    let mut request = [0u8; 40];
    request
        .get_mut(..name.len())
        .filter(|_| name.len() < 16)
        .ok_or("the name is too long")?
        .copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&IFF_TUN_NO_PI.to_ne_bytes());
    // SAFETY: the descriptor is open and the request is as large as the kernel's `struct ifreq`.
    let status = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
    if status < 0 { Err(std::io::Error::last_os_error().into()) } else { Ok(file) }
}

fn carry(mut from: File, to: File, delay: Duration, mut dice: Dice, loss: u64) {
    let (tx, rx): (SyncSender<(Instant, Vec<u8>)>, _) = sync_channel(QUEUE);
    thread::spawn(move || deliver(to, &rx));
    thread::spawn(move || {
        let mut packet = vec![0; 65_536];
        loop {
            // An end that is down refuses reads until it is up.
            let Ok(length) = from.read(&mut packet) else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            if dice.roll() % 100 >= loss {
                let _ = tx.try_send((Instant::now() + delay, packet[..length].to_vec()));
            }
        }
    });
}

fn deliver(mut to: File, packets: &Receiver<(Instant, Vec<u8>)>) {
    while let Ok((due, packet)) = packets.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // An end that is down loses it.
        let _ = to.write(&packet);
    }
}

/// xorshift: the same losses in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }
}
