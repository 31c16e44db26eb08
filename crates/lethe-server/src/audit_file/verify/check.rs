//! The check itself: a state that every line passes through.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::fault::{Break, Fault};
use super::files::{FileSource, Found};
use super::{Anchor, LastLine, Note, Report, VerifyError};
use crate::audit_file::chain::{EventPlace, Header, Link, Torn, time_of};
use crate::audit_file::directory::FileReader;
use crate::audit_file::lines::{Lines, Next};
use crate::audit_file::resume::rest_of;

/// How often the end of a file is looked at again that seems to end within a line: a server may
/// just be writing it.
const LOOKS_MAX: u32 = 1_000;

/// What holds so far.
pub(super) struct Check {
    report: Report,
    /// By `seq`, the ones that were found taken off the end.
    anchors: Vec<Anchor>,
    /// `None` before the first line.
    last: Option<Link>,
    /// The last line that holds, and the one before.
    place: Place,
    place_before: Place,
    /// What seems wrong at the end of the last file, until the next one explains it.
    suspect: Option<Suspect>,
}

/// A line that holds.
#[derive(Clone, Default)]
struct Place {
    path: Option<Arc<Path>>,
    line: u64,
    seq: u64,
    bytes: Vec<u8>,
}

/// Something at the end of a file that is not the next line of the trail.
struct Suspect {
    broken: Break,
    /// From where to the end of the file there are no lines of the trail, and what is there.
    offset: u64,
    torn: Option<Torn>,
    /// The hash of the line, if nothing but its link to the one before is wrong: if the line after
    /// it agrees with this hash, it is the line before that was altered.
    whole_line: Option<[u8; 32]>,
}

/// A file that is being read.
struct Reading<'a> {
    path: Arc<Path>,
    file: &'a File,
    number: u64,
    lines: Lines<FileReader<'a>>,
    /// Lines read.
    count: u64,
}

/// The file after file `number`; or, if later ones are there without it, what is to be said then.
fn after(
    source: &mut dyn FileSource,
    number: u64,
) -> Result<(Option<Found>, Option<Break>), VerifyError> {
    for _ in 0..2 {
        let next = source.open(number + 1)?;
        if next.is_some() {
            return Ok((next, None));
        }
        match source.later(number)? {
            None => return Ok((None, None)),
            // It was begun between the two looks.
            Some((later, _)) if later == number + 1 => {}
            Some((later, file)) => {
                // So may it have been, and put aside at once.
                let next = source.open(number + 1)?;
                let fault = Fault::FilesMissing { from: number + 1, to: later - 1 };
                let gap = Break { file, line: 1, seq: None, fault };
                return Ok(if next.is_some() { (next, None) } else { (None, Some(gap)) });
            }
        }
    }
    Ok((None, None))
}

fn next_of<'a>(path: &Path, lines: &'a mut Lines<FileReader<'_>>) -> Result<Next<'a>, VerifyError> {
    lines.next().map_err(|source| VerifyError { path: path.to_owned(), source })
}

impl Reading<'_> {
    fn break_here(&self, seq: Option<u64>, fault: Fault) -> Break {
        Break { file: self.path.to_path_buf(), line: self.count, seq, fault }
    }
}

impl Check {
    pub(super) fn new(mut anchors: Vec<Anchor>) -> Self {
        anchors.sort_by_key(|anchor| core::cmp::Reverse(anchor.head.link.seq));
        Self {
            report: Report::default(),
            anchors,
            last: None,
            place: Place::default(),
            place_before: Place::default(),
            suspect: None,
        }
    }

    /// Checks all files of `source`, of which the first has the number `first`.
    pub(super) fn all(
        mut self,
        source: &mut dyn FileSource,
        first: u64,
    ) -> Result<Report, VerifyError> {
        self.report.first_file = first;
        let mut number = first;
        let mut found = source.open(number)?;
        if found.is_none() {
            // Listed a moment ago, and removed since.
            let fault = Fault::FilesMissing { from: first, to: first };
            let file = source.later(first)?.map_or_else(PathBuf::new, |(_, file)| file);
            self.report.broken = Some(Break { file, line: 1, seq: None, fault });
        }
        while let Some(this) = found.take() {
            self.report.files += 1;
            found = self.file(source, &this, number)?;
            if self.report.broken.is_some() {
                break;
            }
            number += 1;
        }
        Ok(self.finish())
    }

    /// Checks one file; answers the next one.
    fn file(
        &mut self,
        source: &mut dyn FileSource,
        found: &Found,
        number: u64,
    ) -> Result<Option<Found>, VerifyError> {
        let path: Arc<Path> = found.path.clone().into();
        let lines = Lines::new(FileReader::new(&found.file, 0), 0);
        let mut reading = Reading { path, file: &found.file, number, lines, count: 0 };
        if let Some(fault) = &found.fault {
            reading.count = 1;
            self.report.broken = Some(reading.break_here(None, fault.clone()));
            return Ok(None);
        }
        self.header(&mut reading)?;
        if self.report.broken.is_some() {
            return Ok(None);
        }
        let mut looks = 0;
        loop {
            let rest_bytes = self.lines(&mut reading)?;
            let (next, gap) = after(source, number)?;
            if next.is_some() || gap.is_some() {
                // Nothing is written to this file any more: read it to its end.
                self.lines(&mut reading)?;
                self.end_of_file(&mut reading)?;
            } else if self.suspect.is_none() && rest_bytes > 0 {
                looks += 1;
                if looks < LOOKS_MAX {
                    thread::yield_now();
                    continue;
                }
                self.end_of_file(&mut reading)?;
            }
            if self.suspect.is_none() && self.report.broken.is_none() {
                self.report.broken = gap;
            }
            return Ok(next);
        }
    }

    /// The first line of a file.
    fn header(&mut self, reading: &mut Reading<'_>) -> Result<(), VerifyError> {
        let parsed = match next_of(&reading.path, &mut reading.lines)? {
            Next::Line(line) => Header::parse(line).map(|header| (header, line.to_vec())),
            Next::TooLong | Next::End(_) => None,
        };
        reading.count = 1;
        let (header, line) = match parsed {
            Some((header, line)) => (header, line),
            None => {
                self.break_unless_suspect(reading.break_here(None, Fault::NotAHeader));
                return Ok(());
            }
        };
        let seq = header.prev.seq + 1;
        let fault = if header.file == reading.number {
            self.torn(&header)
        } else {
            Some(Fault::FileNumber { expected: reading.number, found: header.file })
        };
        if let Some(fault) = fault {
            self.break_unless_suspect(reading.break_here(Some(seq), fault));
            return Ok(());
        }
        match self.last {
            None => {
                self.report.first_seq = seq;
                let before = self.anchors.pop_if(|anchor| anchor.head.link.seq < seq);
                if let Some(Anchor { source: anchor, head }) = before {
                    let fault = Fault::AnchorBefore { anchor, seq: head.link.seq };
                    self.report.broken = Some(reading.break_here(Some(seq), fault));
                    return Ok(());
                }
            }
            Some(last) if last != header.prev => {
                self.not_next(reading, last, seq, header.link())?;
                self.break_with_suspect();
                return Ok(());
            }
            Some(_) => {}
        }
        if !header.because.is_ordinary() {
            self.report.notes.push(Note {
                file: reading.path.to_path_buf(),
                opened: header.opened,
                because: header.because,
                torn: header.torn,
            });
        }
        self.pass(reading, header.link(), &line);
        Ok(())
    }

    /// Whether the header tells of what the file before ends with; takes off the suspicion if so.
    fn torn(&mut self, header: &Header) -> Option<Fault> {
        let Some(suspect) = &mut self.suspect else {
            // Nobody knows how a file ends that is not looked at.
            let is_known = self.last.is_some();
            return header.torn.filter(|_| is_known).map(|_| Fault::TornElsewhere);
        };
        let is_told = suspect.torn.is_some() && suspect.torn == header.torn;
        if is_told && self.last == Some(header.prev) {
            self.suspect = None;
            return None;
        }
        if suspect.whole_line == Some(header.prev.hash) {
            self.suspect_line_before();
        }
        // What is told is the suspicion.
        Some(Fault::TornElsewhere)
    }

    /// All further lines of a file. Answers how many bytes behind the last one are none.
    fn lines(&mut self, reading: &mut Reading<'_>) -> Result<usize, VerifyError> {
        while self.suspect.is_none() && self.report.broken.is_none() {
            let Some(last) = self.last else { return Ok(0) };
            let offset = reading.lines.offset();
            let next = next_of(&reading.path, &mut reading.lines)?;
            let parsed = match next {
                Next::Line(line) => EventPlace::of(line).map(|place| (place, line)),
                Next::TooLong => None,
                Next::End(rest) => return Ok(rest.len()),
            };
            reading.count += 1;
            match parsed {
                Some((place, line)) => {
                    let link = Link { seq: place.seq, ..last.followed_by(line) };
                    if last.seq + 1 == place.seq && last.hash == place.prev {
                        self.place_before.bytes.clear();
                        self.place_before.bytes.extend_from_slice(line);
                        self.report.events += 1;
                        self.pass_kept(reading, link);
                    } else {
                        self.not_next(reading, last, place.seq, link)?;
                    }
                }
                None => {
                    let broken = reading.break_here(Some(last.seq + 1), Fault::NotALine);
                    self.suspect = Some(Suspect { broken, offset, torn: None, whole_line: None });
                }
            }
            if let Some(suspect) = &mut self.suspect {
                suspect.offset = offset;
            }
        }
        Ok(0)
    }

    /// A line of the right form that does not follow `last`: it has another number, or was chained
    /// to another line. Which of the two was altered then? The line after it tells.
    fn not_next(
        &mut self,
        reading: &mut Reading<'_>,
        last: Link,
        seq: u64,
        link: Link,
    ) -> Result<(), VerifyError> {
        let expected = last.seq + 1;
        let offset = reading.lines.offset();
        if seq != expected {
            let fault = Fault::Number { expected, found: seq };
            let broken = reading.break_here(Some(seq), fault);
            self.suspect = Some(Suspect { broken, offset, torn: None, whole_line: None });
            return Ok(());
        }
        let broken = reading.break_here(Some(seq), Fault::NotChained);
        let whole_line = Some(link.hash);
        self.suspect = Some(Suspect { broken, offset, torn: None, whole_line });
        let next = next_of(&reading.path, &mut reading.lines)?;
        let is_confirmed = match next {
            Next::Line(line) => EventPlace::of(line).is_some_and(|place| place.prev == link.hash),
            Next::TooLong | Next::End(_) => {
                let at_line = |anchor: &&Anchor| anchor.head.link.seq == seq;
                self.anchors.iter().find(at_line).is_some_and(|anchor| anchor.head.link == link)
            }
        };
        if is_confirmed {
            self.suspect_line_before();
        }
        Ok(())
    }

    fn suspect_line_before(&mut self) {
        let Some(suspect) = &mut self.suspect else { return };
        let Some(path) = &self.place.path else { return };
        suspect.broken = Break {
            file: path.to_path_buf(),
            line: self.place.line,
            seq: Some(self.place.seq),
            fault: Fault::Altered,
        };
        suspect.whole_line = None;
        self.step_back();
    }

    /// The last line does not hold after all.
    fn step_back(&mut self) {
        let is_event = EventPlace::of(&self.place.bytes).is_some();
        self.report.events -= u64::from(is_event);
        self.place = core::mem::take(&mut self.place_before);
    }

    /// A line that holds.
    fn pass(&mut self, reading: &Reading<'_>, link: Link, line: &[u8]) {
        self.place_before.bytes.clear();
        self.place_before.bytes.extend_from_slice(line);
        self.pass_kept(reading, link);
    }

    /// The same, for a line whose bytes are kept in `place_before` already.
    fn pass_kept(&mut self, reading: &Reading<'_>, link: Link) {
        self.place_before.path = Some(Arc::clone(&reading.path));
        self.place_before.line = reading.count;
        self.place_before.seq = link.seq;
        core::mem::swap(&mut self.place, &mut self.place_before);
        self.last = Some(link);
        while let Some(anchor) = self.anchors.pop_if(|anchor| anchor.head.link.seq == link.seq) {
            let fault = if anchor.head.link != link {
                Fault::AnchorDiffers { anchor: anchor.source }
            } else if (anchor.head.file, anchor.head.bytes)
                != (reading.number, reading.lines.offset())
            {
                Fault::AnchorElsewhere { anchor: anchor.source }
            } else {
                self.report.anchored_seq = Some(link.seq);
                continue;
            };
            self.report.broken = Some(reading.break_here(Some(link.seq), fault));
            self.step_back();
            return;
        }
    }

    /// What is behind the last line of a file.
    fn end_of_file(&mut self, reading: &mut Reading<'_>) -> Result<(), VerifyError> {
        if self.report.broken.is_some() {
            return Ok(());
        }
        let from = match &self.suspect {
            Some(suspect) => suspect.offset,
            None => reading.lines.offset(),
        };
        let torn = rest_of(reading.file, from)
            .map_err(|source| VerifyError { path: reading.path.to_path_buf(), source })?;
        match (&mut self.suspect, torn) {
            (Some(suspect), torn) => suspect.torn = torn,
            (None, None) => {}
            (None, Some(torn)) => {
                reading.count += 1;
                let fault = Fault::Torn { bytes: torn.bytes };
                let broken = reading.break_here(self.last.map(|last| last.seq + 1), fault);
                let torn = Some(torn);
                self.suspect = Some(Suspect { broken, offset: from, torn, whole_line: None });
            }
        }
        Ok(())
    }

    fn break_unless_suspect(&mut self, broken: Break) {
        if self.suspect.is_some() {
            self.break_with_suspect();
        } else {
            self.report.broken = Some(broken);
        }
    }

    fn break_with_suspect(&mut self) {
        self.report.broken = self.suspect.take().map(|suspect| suspect.broken);
        let is_unclear = |broken: &Break| broken.fault == Fault::NotChained;
        if self.report.broken.as_ref().is_some_and(is_unclear) {
            self.step_back();
        }
    }

    fn finish(mut self) -> Report {
        if self.report.broken.is_none() {
            self.break_with_suspect();
        }
        let place = &self.place;
        if let (None, Some(anchor), Some(path)) =
            (&self.report.broken, self.anchors.pop(), &place.path)
        {
            let fault = Fault::CutOff { anchor: anchor.source, seq: anchor.head.link.seq };
            let file = path.to_path_buf();
            let seq = Some(place.seq);
            self.report.broken = Some(Break { file, line: place.line, seq, fault });
        }
        let time = || match Header::parse(&place.bytes) {
            Some(header) => Some(header.opened),
            None => time_of(&place.bytes),
        };
        self.report.last = place.path.as_deref().map(|path| LastLine {
            file: PathBuf::from(path),
            line: place.line,
            seq: place.seq,
            time: time(),
        });
        self.report
    }
}
