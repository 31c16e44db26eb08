//! Many keys made beforehand, and what they cost: time to make, disk, memory, the next start.

use core::time::Duration;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::cost::{cpu_of, disk_bytes, resident_kib};
use super::load::count;
use super::measure::{KeyText, key_text, make_keys};
use super::site::BenchServer;
use crate::failure::Failure;
use crate::local::{Sandbox, monotonic};
use crate::output::thousands;

/// Keys that are made between two looks at what was made: bounds the memory of their ids.
const STEP_KEYS: u64 = 200_000;
/// Longest start.
const START_WITHIN: Duration = Duration::from_secs(600);

/// What many keys cost.
#[derive(Debug)]
pub(super) struct Scale {
    /// Their ids.
    pub(super) keys: Arc<Vec<KeyText>>,
    /// What it took to make them.
    fill: Duration,
    fill_cpu: Option<Duration>,
    resident_filled_kib: Option<u64>,
    /// The start after that; none of somebody else's server.
    start: Option<Start>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Start {
    /// From the start of the process until it listens.
    time: Duration,
    resident_kib: Option<u64>,
    /// Of the store alone; the audit trail grows with requests, not with keys.
    store_bytes: u64,
    audit_bytes: u64,
}

/// What the design grants (section 10): keys, longest start, memory, bytes of disk a key.
const BUDGETS: [(u64, Duration, u64, Option<u64>); 2] = [
    (1_000_000, Duration::from_secs(5), 600_000_000, Some(1_000)),
    (10_000_000, Duration::from_secs(60), 6_000_000_000, None),
];

/// Makes `keys` keys; a server of its own is then started again.
///
/// # Errors
/// [`Failure::Failed`].
pub(super) fn fill(
    sandbox: &Sandbox,
    server: BenchServer,
    keys: u64,
    is_tls: bool,
    runtime: &Runtime,
) -> Result<(BenchServer, Scale), Failure> {
    let site = server.site(is_tls)?;
    let cpu = || server.process_id.and_then(|id| cpu_of(&id.to_string()));
    let (begin, cpu_before) = (monotonic(), cpu());
    let mut made: Vec<KeyText> = Vec::with_capacity(usize::try_from(keys).unwrap_or_default());
    let mut left = keys;
    while left > 0 {
        let step = left.min(STEP_KEYS);
        let run = runtime.block_on(make_keys(&site, step, None)).map_err(Failure::Failed)?;
        made.extend(run.keys.iter().filter_map(|key| key_text(key)));
        left -= step;
    }
    let fill = monotonic().saturating_sub(begin);
    let fill_cpu = cpu().zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
    let resident_filled_kib = server.process_id.and_then(resident_kib);
    let is_foreign = server.is_foreign();
    let mut begin = monotonic();
    let (server, (store_bytes, audit_bytes)) = server.restart(sandbox, START_WITHIN, |data| {
        let bytes = (disk_bytes(&data.join("store")), disk_bytes(&data.join("audit")));
        begin = monotonic();
        bytes
    })?;
    let start = (!is_foreign).then(|| Start {
        time: monotonic().saturating_sub(begin),
        resident_kib: server.process_id.and_then(resident_kib),
        store_bytes,
        audit_bytes,
    });
    Ok((server, Scale { keys: Arc::new(made), fill, fill_cpu, resident_filled_kib, start }))
}

impl Scale {
    fn number(&self) -> u64 {
        u64::try_from(self.keys.len()).unwrap_or(u64::MAX)
    }

    /// Names and values for people.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let number = self.number();
        let rate = count(number) / self.fill.as_secs_f64().max(0.001);
        let memory = |kib: Option<u64>| {
            kib.map_or_else(String::new, |kib| format!("{} MiB", thousands(kib / 1_024)))
        };
        let seconds = self.fill.as_secs_f64();
        let mut made = format!("{} in {seconds:.1} s, {rate:.0} /s", thousands(number));
        if let Some(cpu) = self.fill_cpu {
            let per_1k = cpu.as_secs_f64() * 1_000.0 / count(number.max(1));
            made.push_str(&format!(", {per_1k:.3} CPU s for 1,000"));
        }
        let mut fields =
            vec![("keys made", made), ("memory then", memory(self.resident_filled_kib))];
        if let Some(start) = &self.start {
            let each = start.store_bytes / number.max(1);
            fields.extend([
                ("start with them", format!("{:.2} s", start.time.as_secs_f64())),
                ("memory after it", memory(start.resident_kib)),
                ("store on the disk", format!("{} B a key", thousands(each))),
                (
                    "audit trail",
                    format!("{} B a key", thousands(start.audit_bytes / number.max(1))),
                ),
            ]);
            fields.extend(start.verdicts(number).into_iter().map(|verdict| ("budget", verdict)));
        }
        fields
    }

    pub(super) fn json(&self) -> Value {
        let start = self.start.map(|start| {
            json!({
                "seconds": start.time.as_secs_f64(),
                "resident_kib": start.resident_kib,
                "store_bytes": start.store_bytes,
                "audit_bytes": start.audit_bytes,
                "budgets": start.verdicts(self.number()),
            })
        });
        json!({
            "keys": self.number(),
            "fill_seconds": self.fill.as_secs_f64(),
            "fill_cpu_s": self.fill_cpu.map(|cpu| cpu.as_secs_f64()),
            "resident_filled_kib": self.resident_filled_kib,
            "start": start,
        })
    }
}

impl Start {
    /// What is granted for the least number of keys that is not less than `keys`, and whether it
    /// was kept; nothing for fewer than there are budgets for.
    fn verdicts(&self, keys: u64) -> Vec<String> {
        let granted = BUDGETS.iter().rev().find(|(number, ..)| keys >= *number);
        let Some((number, time, resident_bytes, key_bytes)) = granted else { return Vec::new() };
        let verdict = |what: String, is_met: bool| {
            format!(
                "{} keys: {what}: {}",
                thousands(*number),
                if is_met { "met" } else { "MISSED" }
            )
        };
        let mut all = vec![verdict(format!("start ≤ {} s", time.as_secs()), self.time <= *time)];
        if let Some(kib) = self.resident_kib {
            let what = format!("memory ≤ {} MB", resident_bytes / 1_000_000);
            all.push(verdict(what, kib * 1_024 <= *resident_bytes));
        }
        if let Some(bytes) = key_bytes {
            let is_met = self.store_bytes <= bytes.saturating_mul(keys);
            all.push(verdict(format!("disk ≤ {} B a key", thousands(*bytes)), is_met));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_those_of_the_design() {
        #[track_caller]
        fn check(keys: u64, start: Start, expected: &[&str]) {
            assert_eq!(start.verdicts(keys), expected);
        }
        let start = Start {
            time: Duration::from_secs(6),
            resident_kib: Some(500_000),
            store_bytes: 900_000_000,
            audit_bytes: 0,
        };
        check(999_999, start, &[]);
        check(
            1_000_000,
            start,
            &[
                "1,000,000 keys: start ≤ 5 s: MISSED",
                "1,000,000 keys: memory ≤ 600 MB: met",
                "1,000,000 keys: disk ≤ 1,000 B a key: met",
            ],
        );
        let unknown = Start { resident_kib: None, store_bytes: u64::MAX, ..start };
        check(10_000_000, unknown, &["10,000,000 keys: start ≤ 60 s: met"]);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let scale = Scale {
            keys: Arc::new(vec![[b'0'; 32]; 4]),
            fill: Duration::from_secs(2),
            fill_cpu: None,
            resident_filled_kib: None,
            start: None,
        };
        let fields = scale.fields();
        assert_eq!(fields[0].1, "4 in 2.0 s, 2 /s");
        assert_eq!((fields.len(), fields[1].1.as_str()), (2, ""));
        assert_eq!(scale.json()["start"], Value::Null);
    }
}
