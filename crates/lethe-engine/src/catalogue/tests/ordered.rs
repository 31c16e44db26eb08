//! The sorted set against a sorted `Vec`.

use super::super::ordered::Ordered;
use super::support::Seeded;

#[track_caller]
fn check(set: &Ordered<u64>, model: &[u64], random: &mut Seeded, seed: u64) {
    assert_eq!(set.len(), model.len(), "seed {seed}");
    assert_eq!(set.is_empty(), model.is_empty(), "seed {seed}");
    let at = random.number() % 5_000;
    let place = model.partition_point(|&member| member < at);
    let gap = set.gap(|member| member < at);
    assert_eq!(set.after(gap).collect::<Vec<_>>(), model[place..], "seed {seed}");
    let nth = usize::try_from(at).unwrap() % (model.len() + 2);
    let skipped: Vec<_> = model.iter().skip(nth).copied().collect();
    assert_eq!(set.after(set.nth(nth)).collect::<Vec<_>>(), skipped, "seed {seed}: from {nth}");
    let before = place.checked_sub(1).map(|place| model[place]);
    assert_eq!(set.before(gap), before, "seed {seed}");
    let end_at = random.number() % 5_000;
    let end = model.partition_point(|&member| member < end_at);
    let between = set.about_between(gap, set.gap(|member| member < end_at));
    assert_eq!(between, end.saturating_sub(place), "seed {seed}: few chunks are counted exactly");
}

#[test]
fn members_come_and_go_in_order() {
    for seed in 0..40 {
        let mut random = Seeded(seed);
        let (mut set, mut model) = (Ordered::default(), Vec::<u64>::new());
        let grows = random.below(3) + 2;
        for step in 0..1_500_u64 {
            let member = if seed % 4 == 0 { step * 3 } else { random.number() % 5_000 };
            let place = model.partition_point(|&other| other < member);
            if model.get(place) == Some(&member) {
                set.remove(member, |other| other < member);
                model.remove(place);
            } else if !random.one_in(grows) || model.is_empty() {
                set.insert(member, |other| other < member);
                model.insert(place, member);
            } else {
                let gone = *random.of(&model);
                set.remove(gone, |other| other < gone);
                model.retain(|&other| other != gone);
            }
            if step % 50 == 0 {
                check(&set, &model, &mut random, seed);
            }
        }
        check(&set, &model, &mut random, seed);
        let sorted = Ordered::of_sorted(&model);
        check(&sorted, &model, &mut random, seed);
    }
}

#[test]
fn long_ranges_are_estimated() {
    let members: Vec<u64> = (0..100_000).collect();
    let set = Ordered::of_sorted(&members);
    let (start, end) = (set.gap(|member| member < 10_000), set.gap(|member| member < 90_000));
    let about = set.about_between(start, end);
    assert!((79_000..81_000).contains(&about), "{about}");
    assert_eq!(set.about_between(end, start), 0);
}

#[test]
#[should_panic(expected = "lost an entry")]
fn a_member_that_is_not_there_stops_the_process() {
    let mut set = Ordered::of_sorted(&[1_u64, 3]);
    set.remove(2, |other| other < 2);
}
