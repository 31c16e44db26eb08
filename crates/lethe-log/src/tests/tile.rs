//! Tile names and entry bundles: round trips, a cross-check, refused cases.

use proptest::prelude::*;

use crate::{
    BundleError, ENTRY_BYTES_MAX, TileContent, TileName, decode_bundle, encode_bundle, tile_counts,
};

#[track_caller]
fn check(text: &str, content: TileContent, index: u64, width: u16) {
    let name = TileName::new(content, index, width).unwrap();
    assert_eq!(name.to_string(), text);
    assert_eq!(text.parse(), Ok(name));
    assert_eq!((name.content(), name.index(), name.width()), (content, index, width));
    assert_eq!(name.is_full(), width == 256);
}

#[test]
fn tiles_are_named_as_tlog_tiles_says() {
    let hashes = |level| TileContent::Hashes { level };
    check("tile/0/000", hashes(0), 0, 256);
    check("tile/0/x001/x234/067", hashes(0), 1_234_067, 256);
    check("tile/1/x001/x234/067.p/17", hashes(1), 1_234_067, 17);
    check("tile/0/273.p/112", hashes(0), 273, 112);
    check("tile/2/000.p/1", hashes(2), 0, 1);
    check("tile/63/999.p/255", hashes(63), 999, 255);
    check("tile/0/x001/000", hashes(0), 1000, 256);
    check("tile/entries/x001/x234/067", TileContent::Entries, 1_234_067, 256);
    check("tile/entries/000.p/5", TileContent::Entries, 0, 5);
    check("tile/0/x018/x446/x744/x073/x709/x551/615", hashes(0), u64::MAX, 256);
}

#[test]
fn other_spellings_of_tile_names_are_refused() {
    for text in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/+0/000",
        "tile/-1/000",
        "tile/64/000",
        "tile/256/000",
        "tile/a/000",
        "tile/data/000",
        "tile/Entries/000",
        "tile/8/0/000",
        "tile/0/x000/001",
        "tile/0/x000",
        "tile/0/001/x234",
        "tile/0/001/234",
        "tile/0/x001/x234",
        "tile/0/xx01/234",
        "tile/0/x01/234",
        "tile/0/+01",
        "tile/0/x+01/234",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/0/x001.p/1/234",
        "tile/0/000.P/1",
        "tile/0/000 ",
        "tile/0/000\n",
        "tile/0/\u{0660}00",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert!(text.parse::<TileName>().is_err(), "{text:?}");
    }
    assert!(TileName::new(TileContent::Entries, 0, 0).is_err());
    assert!(TileName::new(TileContent::Entries, 0, 257).is_err());
    assert!(TileName::new(TileContent::Hashes { level: 64 }, 0, 1).is_err());
}

#[test]
fn a_log_of_70000_has_the_tiles_of_section_c1() {
    assert_eq!(tile_counts(70_000), [(273, 112), (1, 17), (0, 1)]);
    assert_eq!(tile_counts(0), []);
    assert_eq!(tile_counts(255), [(0, 255)]);
    assert_eq!(tile_counts(256), [(1, 0), (0, 1)]);
    assert_eq!(tile_counts(257), [(1, 1), (0, 1)]);
    assert_eq!(tile_counts(65_536), [(256, 0), (1, 0), (0, 1)]);
}

#[test]
fn bundles_hold_whole_entries_only() {
    let largest = vec![b'x'; ENTRY_BYTES_MAX];
    let entries: [&[u8]; 4] = [b"first", b"", &largest, b"last"];
    let bundle = encode_bundle(entries).unwrap();
    assert_eq!(bundle[..9], *b"\0\x05first\0\0");
    assert_eq!(decode_bundle(&bundle, 4).unwrap(), entries);
    for width in [0, 1, 3, 5, 256] {
        assert_eq!(decode_bundle(&bundle, width), Err(BundleError::Malformed));
    }
    for end in [0, 1, 2, 6, 8, bundle.len() - 1] {
        assert_eq!(decode_bundle(&bundle[..end], 4), Err(BundleError::Malformed));
    }
    let too_large = vec![b'x'; ENTRY_BYTES_MAX + 1];
    assert_eq!(encode_bundle([too_large.as_slice()]), Err(BundleError::EntryTooLarge));
    assert!(decode_bundle(&[], 0).unwrap().is_empty());
}

proptest! {
    #[test]
    fn names_are_those_of_another_implementation(
        level in 0_u8..64,
        index in any::<u64>(),
        shift in 0_u32..64,
        width in 1_u16..=256,
    ) {
        let index = index >> shift;
        let ours = TileName::new(TileContent::Hashes { level }, index, width).unwrap().to_string();
        let theirs = tlog_tiles::tile::Tile::new(8, level, index, width.into(), false).path();
        prop_assert_eq!(&ours, &theirs.replacen("tile/8/", "tile/", 1));
        prop_assert_eq!(ours.parse::<TileName>().unwrap().index(), index);
    }

    #[test]
    fn what_is_accepted_round_trips(
        text in "tile/(entries|[0-9]{1,2})/(x?[0-9]{2,4}/?){1,3}(\\.p/[0-9]{1,3})?",
    ) {
        if let Ok(name) = text.parse::<TileName>() {
            prop_assert_eq!(name.to_string(), text);
        }
    }
}
