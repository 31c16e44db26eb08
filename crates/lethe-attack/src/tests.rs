//! What is found in bytes, what opens, and what must not.

use lethe_crypto::aead::SealKey;
use lethe_crypto::hash::sha256;
use lethe_erasure::erased::erased_sector;
use lethe_erasure::seal::{KeyFileSeal, encode_sector};
use lethe_erasure::slot::{SlotEntry, SlotImage};
use lethe_erasure::tree::{RecordHeader, seal_record};
use lethe_types::{Entropy, EntropyError, Secret, TreeId};

use crate::memory::parse_smaps;
use crate::{Finds, Hoard, Loot, ProcessMemory, open_all, roots_in_slot};

const TREE: TreeId = TreeId([7; 16]);

/// The same bytes always.
struct Fixed;

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(0x22);
        Ok(())
    }
}

fn secret(byte: u8) -> Secret<32> {
    Secret::init_with(|key| key.fill(byte))
}

/// A node with these children's keys, sealed as the published format says.
fn node(key: u8, level: u8, index: u64, children: &[(usize, u8)]) -> Vec<u8> {
    let mut header = vec![1, 1, 2, level];
    header.extend(index.to_be_bytes());
    header.extend(5_u64.to_be_bytes());
    let mut keys = vec![0; 4 * 32];
    for (slot, child) in children {
        keys[slot * 32..slot * 32 + 32].fill(*child);
    }
    let data = [b"KDT1", TREE.as_bytes().as_slice(), &header].concat();
    let tag = SealKey::new(&secret(key)).seal_in_place([0x22; 12], &data, &mut keys).unwrap();
    [header.as_slice(), &[0x22; 12], &keys, &tag].concat()
}

fn record(key: u8, leaf: u64, material: &[u8]) -> Vec<u8> {
    let header = RecordHeader { flags: 0, record_id: [0xAA; 16], leaf, key_version: 1 };
    seal_record(TREE, &secret(key), &header, material, &Fixed).unwrap()
}

/// What root 1 opens of these pieces, each in the middle of other bytes.
fn loot(pieces: &[Vec<u8>], root: u8) -> Loot {
    let mut hoard = Hoard::new();
    for piece in pieces {
        hoard.add([&[9, 1, 1, 1][..], piece, &[1, 1, 0, 0, 1]].concat()).unwrap();
    }
    open_all(&Finds::of(&hoard), TREE, &[secret(root)])
}

#[test]
fn the_published_vector_of_a_node_is_found_and_opens() {
    let blob = node(0x11, 1, 3, &[(0, 1), (1, 2), (2, 3), (3, 4)]);
    let hex: String = sha256(&[&blob]).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "30f92565af4ea77d583edb187ca709d0930022111854c58d33eb8e3e9c020e7a");
    let mut hoard = Hoard::new();
    hoard.add([b"page".as_slice(), &blob, b"rest"].concat()).unwrap();
    assert_eq!(Finds::of(&hoard).nodes_count(), 1);
}

#[test]
fn a_root_opens_what_hangs_on_it_and_nothing_else() {
    let tree = [
        node(1, 2, 0, &[(0, 2), (3, 3)]),
        node(2, 1, 0, &[(1, 4)]),
        node(3, 1, 3, &[(2, 5)]),
        // Of another parent, of another tree's root, and cut short.
        node(8, 1, 1, &[(0, 6)]),
        node(9, 2, 0, &[(0, 2)]),
        node(2, 1, 0, &[(2, 7)])[..170].to_vec(),
        record(4, 1, b"first material"),
        record(5, 14, b"second material"),
        record(6, 4, b"third material"),
        record(4, 2, b"fourth material"),
    ];
    let found = loot(&tree, 1);
    assert_eq!(found.nodes_opened, 3);
    assert_eq!(found.records.len(), 2);
    assert_eq!(found.leaf_of(b"first material"), Some(1));
    assert_eq!(found.leaf_of(b"second material"), Some(14));
    assert!(!found.holds(b"third material") && !found.holds(b"fourth material"));
    let found = loot(&tree, 7);
    assert_eq!((found.nodes_opened, found.records.len()), (0, 0));
    assert_eq!(loot(&tree, 9).leaf_of(b"first material"), Some(1));
}

#[test]
fn an_altered_or_moved_part_opens_nothing() {
    let good = [node(1, 1, 0, &[(1, 4)]), record(4, 1, b"the material")];
    assert!(loot(&good, 1).holds(b"the material"));
    for at in [4, 11, 19, 20, 40, 100, 175] {
        let mut pieces = good.clone();
        pieces[0][at] ^= 1;
        assert!(!loot(&pieces, 1).holds(b"the material"), "byte {at} of the node");
    }
    for at in [5, 27, 31, 33, 50, 70] {
        let mut pieces = good.clone();
        pieces[1][at] ^= 1;
        assert!(!loot(&pieces, 1).holds(b"the material"), "byte {at} of the record");
    }
}

#[test]
fn noise_holds_nothing_and_does_no_harm() {
    let mut hoard = Hoard::new();
    for bytes in [vec![], vec![1; 5_000], vec![1, 1], vec![1, 1, 6, 1], vec![0xFF; 100]] {
        hoard.add(bytes).unwrap();
    }
    assert_eq!(open_all(&Finds::of(&hoard), TREE, &[secret(1)]).nodes_opened, 0);
    assert!(hoard.holds(&[1, 1, 6]) && !hoard.holds(&[1, 1, 7]) && !hoard.is_empty());
    assert_eq!(hoard.len(), 5_106);
}

#[test]
fn both_sectors_of_a_slot_are_looked_at() {
    let seal = KeyFileSeal::new(secret(3));
    let image = |generation| SlotImage {
        generation,
        tree_id: TREE,
        current: SlotEntry { epoch: generation, not_after_s: 0, tag: [0; 16], root: secret(1) },
        retained: Vec::new(),
    };
    let sector = |number: u8, generation| {
        encode_sector(&image(generation), number, &seal, &[5; 16], &Fixed).unwrap().to_vec()
    };
    let both = [sector(0, 4), sector(1, 5)].concat();
    let epochs = |slot: &[u8], seal: &KeyFileSeal| -> Vec<u64> {
        roots_in_slot(slot, seal).iter().map(|image| image.current.epoch).collect()
    };
    assert_eq!(epochs(&both, &seal), [4, 5]);
    for nothing in [vec![0; 4_096], erased_sector(&Fixed).unwrap().to_vec()] {
        assert_eq!(epochs(&[nothing, sector(1, 5)].concat(), &seal), [5]);
    }
    // A sector in the other's place, another key, a torn end.
    assert_eq!(epochs(&[sector(1, 5), sector(0, 4)].concat(), &seal), [5, 4]);
    assert_eq!(epochs(&both, &KeyFileSeal::new(secret(4))), [0_u64; 0]);
    assert_eq!(epochs(&both[..8_000], &seal), [4]);
}

#[test]
fn memory_of_a_process_is_searched_and_its_mappings_are_told_apart() {
    let text = "\
00400000-00500000 r-xp 00000000 08:01 1 /bin/x
VmFlags: rd ex mr mw me lo
00600000-00700000 rw-p 00000000 08:01 1 /bin/x
VmFlags: rd wr mr mw me ac lo
7f0000000000-7f0000001000 rw-p 00000000 00:00 0
Size: 4 kB
VmFlags: rd wr mr mw me ac
not a mapping
";
    let mappings = parse_smaps(text);
    let seen: Vec<_> = mappings.iter().map(|one| (one.name.as_str(), one.is_locked())).collect();
    assert_eq!(seen, [("/bin/x", true), ("", false)]);

    let needle = sha256(&[b"a needle in this very process"]);
    let kept = Box::new(needle);
    let memory = ProcessMemory::open(std::process::id()).unwrap();
    // What is looked for lies in the own memory as well: only the first search can tell.
    let found = memory.find(&[kept.as_slice()]).unwrap();
    assert!(!found[0].is_empty());
    assert!(ProcessMemory::open(0).is_err());
}
