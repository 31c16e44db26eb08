//! The files of a trail in their order, also while a server goes on writing it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::VerifyError;
use super::fault::Fault;
use crate::audit_file::chain::Header;
use crate::audit_file::directory::header_of;
use crate::audit_file::names::{CURRENT_FILE_NAME, all_aside};

/// A file of the trail.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// What is wrong with its being here.
    pub(super) fault: Option<Fault>,
}

/// Where files come from.
pub(super) trait FileSource {
    /// The number of the first file; `None` if there is none.
    fn first(&mut self) -> Result<Option<u64>, VerifyError>;

    /// The file in the place of number `number`; `None` if there is none there. Asked for one
    /// number after the other.
    fn open(&mut self, number: u64) -> Result<Option<Found>, VerifyError>;

    /// The first file after `number`, and its number.
    fn later(&mut self, number: u64) -> Result<Option<(u64, PathBuf)>, VerifyError>;
}

/// All files of a directory.
pub(super) struct Directory {
    path: PathBuf,
    aside: Vec<(u64, String)>,
    /// Device and inode of the current file that was answered last.
    answered: Option<(u64, u64)>,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, VerifyError> {
        let mut directory = Self { path: path.to_owned(), aside: Vec::new(), answered: None };
        directory.list()?;
        Ok(directory)
    }

    /// From which number on the server kept files, as the newest header says.
    pub(super) fn kept_from(&mut self) -> Result<u64, VerifyError> {
        if let Some((_, header)) = self.current()? {
            return Ok(header.map_or(1, |header| header.kept_from));
        }
        let Some((_, name)) = self.aside.last() else { return Ok(1) };
        let path = self.path.join(name);
        let file = open(&path)?;
        let header = file.map(|file| read_header(&path, &file)).transpose()?.flatten();
        Ok(header.map_or(1, |header| header.kept_from))
    }

    fn list(&mut self) -> Result<(), VerifyError> {
        let error = |source| VerifyError { path: self.path.clone(), source };
        self.aside = all_aside(&self.path).map_err(error)?;
        Ok(())
    }

    fn current(&self) -> Result<Option<(Found, Option<Header>)>, VerifyError> {
        let path = self.path.join(CURRENT_FILE_NAME);
        let Some(file) = open(&path)? else { return Ok(None) };
        let header = read_header(&path, &file)?;
        Ok(Some((Found { path, file, fault: None }, header)))
    }

    fn aside(&self, number: u64) -> Result<Option<Found>, VerifyError> {
        let mut first = None;
        let mut right: Option<Found> = None;
        for (_, name) in self.aside.iter().filter(|(one, _)| *one == number) {
            let path = self.path.join(name);
            let Some(file) = open(&path)? else { continue };
            let header = read_header(&path, &file)?;
            let mut found = Found { path, file, fault: None };
            if header.is_some_and(|header| header.file == number) {
                if right.is_some() {
                    found.fault = Some(Fault::Twice { number });
                    return Ok(Some(found));
                }
                right = Some(found);
            } else if first.is_none() {
                first = Some(found);
            }
        }
        Ok(right.or(first))
    }
}

impl FileSource for Directory {
    fn first(&mut self) -> Result<Option<u64>, VerifyError> {
        if let Some((number, _)) = self.aside.first() {
            return Ok(Some(*number));
        }
        Ok(self.current()?.map(|(_, header)| header.map_or(1, |header| header.file)))
    }

    fn open(&mut self, number: u64) -> Result<Option<Found>, VerifyError> {
        if let Some(found) = self.aside(number)? {
            return Ok(Some(found));
        }
        // The current file is opened before the list is made again: if it has a larger number by
        // now, the list has the one that is looked for.
        let current = self.current()?;
        self.list()?;
        if let Some(found) = self.aside(number)? {
            return Ok(Some(found));
        }
        let Some((found, header)) = current else { return Ok(None) };
        let identity = identity_of(&found)?;
        let is_last = self.aside.last().is_none_or(|(last, _)| *last < number);
        let is_it = match header {
            Some(header) if header.file == number => true,
            Some(header) if header.file > number => false,
            // Where the current file should be, it is, if its header cannot be read or names a
            // number that is taken: unless it was the file before.
            Some(_) | None => is_last && self.answered != Some(identity),
        };
        if is_it {
            self.answered = Some(identity);
        }
        Ok(is_it.then_some(found))
    }

    fn later(&mut self, number: u64) -> Result<Option<(u64, PathBuf)>, VerifyError> {
        let aside = self.aside.iter().find(|(one, _)| *one > number);
        if let Some((later, name)) = aside {
            return Ok(Some((*later, self.path.join(name))));
        }
        let current = self.current()?;
        Ok(current.and_then(|(found, header)| {
            let later = header.map(|header| header.file).filter(|later| *later > number);
            later.map(|later| (later, found.path))
        }))
    }
}

/// Files in an order that somebody gives.
pub(super) struct Given<'a> {
    rest: &'a [PathBuf],
}

impl<'a> Given<'a> {
    pub(super) fn new(files: &'a [PathBuf]) -> Self {
        Self { rest: files }
    }
}

impl FileSource for Given<'_> {
    fn first(&mut self) -> Result<Option<u64>, VerifyError> {
        let Some(path) = self.rest.first() else { return Ok(None) };
        let file = must_open(path)?;
        Ok(Some(read_header(path, &file)?.map_or(1, |header| header.file)))
    }

    fn open(&mut self, _number: u64) -> Result<Option<Found>, VerifyError> {
        let Some((path, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let file = must_open(path)?;
        Ok(Some(Found { path: path.clone(), file, fault: None }))
    }

    fn later(&mut self, _number: u64) -> Result<Option<(u64, PathBuf)>, VerifyError> {
        Ok(None)
    }
}

fn open(path: &Path) -> Result<Option<File>, VerifyError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        // Put aside or removed between the look at the names and this one.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(VerifyError { path: path.to_owned(), source }),
    }
}

fn identity_of(found: &Found) -> Result<(u64, u64), VerifyError> {
    let metadata = found.file.metadata();
    let metadata = metadata.map_err(|source| VerifyError { path: found.path.clone(), source })?;
    Ok((metadata.dev(), metadata.ino()))
}

fn must_open(path: &Path) -> Result<File, VerifyError> {
    File::open(path).map_err(|source| VerifyError { path: path.to_owned(), source })
}

fn read_header(path: &Path, file: &File) -> Result<Option<Header>, VerifyError> {
    header_of(file).map_err(|source| VerifyError { path: path.to_owned(), source })
}
