//! Messages: what is said is heard, and what is cut short or too long is refused.

use super::*;

#[test]
fn what_is_said_is_heard() {
    for (kind, bytes) in [
        (SEGMENT, vec![7; PIECE_BYTES]),
        (SEGMENT, vec![7; PIECE_BYTES + 1]),
        (SEGMENT_END, Vec::new()),
        (FRAME, vec![1, 2, 3]),
        (FRAME, vec![9; MESSAGE_BYTES_MAX]),
        (IDLE, vec![1]),
        (END, b"the server stops".to_vec()),
        (0xFF, Vec::new()),
    ] {
        let mut said = Vec::new();
        write_message(&mut said, kind, &bytes).unwrap();
        said.push(0xEE);
        let mut rest = said.as_slice();
        assert_eq!(read_message(&mut rest).unwrap(), (kind, bytes));
        assert_eq!(rest, [0xEE], "not a byte more");
    }
}

#[test]
fn what_is_cut_short_or_too_long_is_refused() {
    let mut whole = Vec::new();
    write_message(&mut whole, FRAME, b"abc").unwrap();
    let longest = u32::try_from(MESSAGE_BYTES_MAX).unwrap();
    let mut cases: Vec<Vec<u8>> = (0..whole.len()).map(|length| whole[..length].to_vec()).collect();
    for length in [longest + 1, longest + 2, u32::MAX / 2, u32::MAX] {
        let mut bytes = vec![FRAME];
        bytes.extend(length.to_be_bytes());
        bytes.resize(100, 0);
        cases.push(bytes);
    }
    for case in &cases {
        assert!(read_message(&mut case.as_slice()).is_err(), "{case:?}");
    }
}
