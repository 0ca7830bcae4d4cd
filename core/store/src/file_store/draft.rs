//! The engine's view of the file. Until it is published, what the engine writes stays in memory.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// A file, and what the engine has done to it since it was opened.
#[derive(Debug, Clone)]
pub(super) struct Draft(Arc<Mutex<DraftContent>>);

#[derive(Debug)]
struct DraftContent {
    file: Arc<File>,
    state: DraftState,
}

#[derive(Debug)]
enum DraftState {
    /// Steps are kept and wait.
    Kept(Vec<Step>),
    /// Steps are taken at once.
    Published,
    /// All steps fail: what an engine does after a failure must not reach the file.
    Shut,
}

/// Something that the engine does to a file.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Bytes from this offset on.
    Write(u64, Vec<u8>),
    /// A new length; new bytes are zero.
    SetLen(u64),
    /// Everything before is on the disk before anything after.
    Sync,
}

impl Draft {
    /// Nothing is written to the file before [`Draft::publish`].
    pub(super) fn new(file: Arc<File>) -> Self {
        Self::with(file, DraftState::Kept(Vec::new()))
    }

    /// Everything is written to the file at once.
    pub(super) fn published(file: Arc<File>) -> Self {
        Self::with(file, DraftState::Published)
    }

    fn with(file: Arc<File>, state: DraftState) -> Self {
        Self(Arc::new(Mutex::new(DraftContent { file, state })))
    }

    /// Takes the steps that wait, in their order and with their syncs, so that a crash finds a file which the engine
    /// repairs.
    pub(super) fn publish(&self) -> io::Result<()> {
        let mut content = self.lock();
        let DraftContent { file, state } = &mut *content;
        match state {
            DraftState::Published => return Ok(()),
            DraftState::Shut => return Err(shut()),
            DraftState::Kept(steps) => steps.iter().try_for_each(|step| step.take(file))?,
        }
        *state = DraftState::Published;
        Ok(())
    }

    /// Nothing reaches the file any more.
    pub(super) fn shut(&self) {
        self.lock().state = DraftState::Shut;
    }

    /// The steps that wait.
    #[cfg(test)]
    pub(super) fn steps(&self) -> Vec<Step> {
        match &self.lock().state {
            DraftState::Kept(steps) => steps.clone(),
            DraftState::Published | DraftState::Shut => Vec::new(),
        }
    }

    fn step(&self, step: Step) -> io::Result<()> {
        let DraftContent { file, state } = &mut *self.lock();
        match state {
            DraftState::Kept(steps) => steps.push(step),
            DraftState::Published => step.take(file)?,
            DraftState::Shut => return Err(shut()),
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, DraftContent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DraftContent {
    /// The length of the file with all steps taken.
    fn len(&self) -> io::Result<u64> {
        let mut len = self.file.metadata()?.len();
        if let DraftState::Kept(steps) = &self.state {
            for step in steps {
                match step {
                    Step::Write(offset, bytes) if !bytes.is_empty() => {
                        len = len.max(offset + bytes.len() as u64)
                    }
                    Step::SetLen(new) => len = *new,
                    Step::Write(..) | Step::Sync => {}
                }
            }
        }
        Ok(len)
    }

    /// The bytes of the file with all steps taken.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64).ok_or(ErrorKind::UnexpectedEof)?;
        if end > self.len()? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let steps = match &self.state {
            DraftState::Kept(steps) => &steps[..],
            DraftState::Published => &[],
            DraftState::Shut => return Err(shut()),
        };
        let there = self.file.metadata()?.len().saturating_sub(offset).min(out.len() as u64);
        let (there, beyond) = out.split_at_mut(there as usize);
        let mut file = &*self.file;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(there)?;
        beyond.fill(0);
        steps.iter().for_each(|step| step.show(offset, out));
        Ok(())
    }
}

impl Step {
    /// Does this to a file.
    pub(super) fn take(&self, mut file: &File) -> io::Result<()> {
        match self {
            Self::Write(offset, bytes) => {
                file.seek(SeekFrom::Start(*offset))?;
                file.write_all(bytes)
            }
            Self::SetLen(len) => file.set_len(*len),
            Self::Sync => file.sync_data(),
        }
    }

    /// Does this to a copy of the file's bytes from `offset` on.
    fn show(&self, offset: u64, out: &mut [u8]) {
        let end = offset + out.len() as u64;
        match self {
            Self::Write(start, bytes) => {
                let (from, to) = (offset.max(*start), end.min(start + bytes.len() as u64));
                if from < to {
                    let place = (from - offset) as usize..(to - offset) as usize;
                    out[place].copy_from_slice(&bytes[(from - start) as usize..(to - start) as usize]);
                }
            }
            Self::SetLen(len) => {
                let kept = len.saturating_sub(offset).min(out.len() as u64);
                out[kept as usize..].fill(0);
            }
            Self::Sync => {}
        }
    }
}

fn shut() -> io::Error {
    io::Error::other("the engine of the store has failed before")
}

/// The methods about locks stay those of the trait, which lock nothing: the file is locked already, on Android too.
impl StorageBackend for Draft {
    fn len(&self) -> io::Result<u64> {
        self.lock().len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.lock().read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step(Step::SetLen(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step(Step::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step(Step::Write(offset, data.to_vec()))
    }
}
