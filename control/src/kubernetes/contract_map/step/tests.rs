//! Tests of single steps, and a simulation: writers that lag, crash and fight, people who delete and damage maps, and
//! kubelets that fetch every map at a time of its own. No reader ever has a contract that nobody published.

use millrace_config::contract::parse;

use super::*;
use crate::publish::Existing;

const LARGEST: usize = 4000;

fn resource(uid: usize, revision: u64, size: usize) -> wire::Resource {
    wire::Resource {
        uid: format!("u{uid}"),
        topics: vec![format!("t{revision}"), "x".repeat(size)],
        bootstrap_servers: "k:9092".to_owned(),
        ..wire::Resource::default()
    }
}

fn contract(resources: Vec<wire::Resource>) -> wire::Contract {
    wire::Contract { resources, ..wire::Contract::default() }
}

/// Versions of every map from the oldest to the newest; 0 is the main one.
type History = Vec<Vec<Option<Vec<u8>>>>;

fn empty_history() -> History {
    let maps = usize::try_from(shards::MOST_SHARDS).unwrap() + 1;
    vec![vec![None]; maps]
}

/// What somebody knows: a version of every map.
type View = Vec<usize>;

fn newest(history: &History) -> View {
    history.iter().map(|versions| versions.len() - 1).collect()
}

fn bytes<'a>(history: &'a History, view: &View, map: usize) -> Option<&'a [u8]> {
    history[map][view[map]].as_deref()
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap()
}

fn in_force(history: &History, view: &View) -> InForce {
    let existing = bytes(history, view, 0).map_or(Existing::Nothing, crate::publish::parse);
    InForce::of(&existing, BTreeSet::new(), |number| bytes(history, view, place(number)))
}

fn step(history: &History, view: &View, wanted: &wire::Contract, blind: &[String]) -> Step {
    let of = |number: u32| Some((number, shards::digest(bytes(history, view, place(number))?)));
    let held = (1..=shards::MOST_SHARDS).filter_map(of).collect();
    let (in_force, foreign) = (in_force(history, view), BTreeSet::new());
    let generation = in_force.generation().unwrap_or_default();
    let exists = bytes(history, view, 0).is_some();
    let now = Now { in_force: &in_force, exists, generation, held: &held, foreign: &foreign, blind, largest: LARGEST };
    next(now, wanted, &BTreeSet::new())
}

/// The content of a contract, whatever the order of its resources.
fn content(contract: &wire::Contract) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        contract.resources.iter().map(|resource| (resource.uid.clone(), resource.topics.join(" "))).collect();
    all.sort();
    all
}

/// What a data plane makes of the files, as `ContractFile` does it.
fn read(history: &History, view: &View) -> Option<wire::Contract> {
    let main = bytes(history, view, 0)?;
    let Some(index) = shards::index(main) else { return wire::from_json(main).ok() };
    let file = |number| bytes(history, view, place(number)).map(<[u8]>::to_vec);
    shards::assemble(index, |number| file(number).ok_or(std::io::ErrorKind::NotFound.into())).ok()
}

/// Does everything until nothing is left to do; gives the names of the steps.
fn run(history: &mut History, wanted: &wire::Contract) -> Vec<String> {
    let mut done = Vec::new();
    for _ in 0..10 {
        let view = newest(history);
        match step(history, &view, wanted, &[]) {
            Step::Rest => return done,
            Step::Shards(writes) => {
                done.push(format!("{} shards", writes.len()));
                writes.into_iter().for_each(|(number, bytes)| history[place(number)].push(Some(bytes)));
            }
            Step::Main { bytes, next, .. } => {
                done.push(if next.is_spread() { "index".to_owned() } else { "contract".to_owned() });
                history[0].push(Some(bytes));
            }
            Step::Delete(numbers) => {
                done.push(format!("{} deleted", numbers.len()));
                numbers.into_iter().for_each(|number| history[place(number)].push(None));
            }
            Step::Refused { message, .. } => {
                done.push(message);
                return done;
            }
        }
    }
    panic!("it does not come to rest: {done:?}");
}

fn many(count: usize, revision: u64) -> wire::Contract {
    contract((0..count).map(|uid| resource(uid, revision, 100)).collect())
}

#[test]
fn a_contract_is_spread_when_it_has_to_and_comes_back_when_there_is_much_room() {
    let mut history = empty_history();
    assert_eq!(run(&mut history, &many(20, 0)), ["contract"]);
    assert!(shards::index(bytes(&history, &newest(&history), 0).unwrap()).is_none());
    assert_eq!(run(&mut history, &many(30, 0)), ["8 shards", "index"]);
    let mut changed = many(30, 0);
    changed.resources[7] = resource(7, 1, 100);
    assert_eq!(run(&mut history, &changed), ["1 shards", "index"]);
    assert_eq!(run(&mut history, &changed), [""; 0]);
    // It would fit, but only just.
    assert_eq!(run(&mut history, &many(22, 0)).last().unwrap(), "index");
    assert_eq!(run(&mut history, &many(10, 0)), ["contract", "16 deleted"]);
    let whole = parse(bytes(&history, &newest(&history), 0).unwrap()).unwrap();
    assert_eq!((whole.generation, whole.resources.len()), (5, 10));
}

#[test]
fn what_people_damage_is_put_right() {
    let mut history = empty_history();
    let wanted = many(40, 0);
    run(&mut history, &wanted);
    history[3].push(None);
    // A process that does not know what it held finds the same place for the same resources.
    assert_eq!(run(&mut history, &wanted), ["1 shards"]);
    history[4].push(Some(b"corrupt".to_vec()));
    assert_eq!(run(&mut history, &wanted), ["1 shards"]);
    history[0].push(None);
    assert_eq!(run(&mut history, &wanted).last().unwrap(), "index");
    assert_eq!(content(&read(&history, &newest(&history)).unwrap()), content(&wanted));
}

#[test]
fn a_process_that_knows_what_a_lost_shard_held_needs_no_new_index() {
    let mut history = empty_history();
    let wanted = many(40, 0);
    run(&mut history, &wanted);
    let view = newest(&history);
    let before = in_force(&history, &view);
    let of = |number: u32| Some((number, shards::digest(bytes(&history, &view, place(number))?)));
    let held: BTreeMap<u32, String> =
        (1..=shards::MOST_SHARDS).filter_map(of).filter(|(number, _)| *number != 3).collect();
    let now = Now {
        in_force: &before,
        exists: true,
        generation: 1,
        held: &held,
        foreign: &BTreeSet::new(),
        blind: &[],
        largest: LARGEST,
    };
    let Step::Shards(writes) = next(now, &wanted, &BTreeSet::new()) else { panic!("one shard is to be written") };
    assert_eq!(writes.keys().copied().collect::<Vec<u32>>(), [3]);
    assert_eq!(writes.get(&3).map(Vec::as_slice), bytes(&history, &view, 3));
}

#[test]
fn nothing_is_spread_before_all_pods_see_shards_and_what_fits_nowhere_is_refused() {
    let mut history = empty_history();
    run(&mut history, &many(20, 0));
    let view = newest(&history);
    let Step::Refused { message, size } = step(&history, &view, &many(30, 0), &["pod-1".to_owned()]) else {
        panic!("it must be refused");
    };
    assert!(message.contains("1 pods of the data plane do not mount the others, pod-1"), "{message}");
    assert!(size > LARGEST);
    let told = run(&mut history, &contract(vec![resource(1, 0, LARGEST)]));
    assert!(told.concat().contains("no room for channel"), "{told:?}");
    let bundles = wire::Contract { trust_bundles: vec!["x".repeat(LARGEST)], ..many(30, 0) };
    assert!(run(&mut history, &bundles).concat().contains("trust bundles alone"));
}

/// The same numbers for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }
}

struct World {
    history: History,
    /// What was published, by generation.
    published: BTreeMap<u64, Vec<(String, String)>>,
    chance: Chance,
}

impl World {
    /// A writer does one step from what it knows. As with resource versions, a map that somebody else changed since is
    /// not written. It may crash between two writes.
    fn act(&mut self, view: &mut View, wanted: &wire::Contract) {
        let (history, chance) = (&mut self.history, &mut self.chance);
        let put = |history: &mut History, view: &mut View, map: usize, content: Option<Vec<u8>>| {
            let is_current = view[map] == history[map].len() - 1;
            if is_current {
                history[map].push(content);
                view[map] += 1;
            }
            is_current
        };
        match step(history, view, wanted, &[]) {
            Step::Rest => {}
            Step::Refused { message, .. } => panic!("{message}"),
            Step::Shards(writes) => {
                for (number, bytes) in writes {
                    if chance.below(10) == 0 || !put(history, view, place(number), Some(bytes)) {
                        *view = newest(history);
                        return;
                    }
                }
            }
            Step::Main { bytes, next, .. } => {
                let contract = next.contract.unwrap_or_default();
                if put(history, view, 0, Some(bytes)) {
                    let before = self.published.insert(contract.generation, content(&contract));
                    assert!(before.is_none(), "generation {} was published before", contract.generation);
                }
            }
            Step::Delete(numbers) => {
                for number in numbers {
                    put(history, view, place(number), None);
                }
            }
        }
    }

    /// Some maps arrive at a node, others do not.
    fn fetch(&mut self, view: &mut View) {
        for (map, known) in view.iter_mut().enumerate() {
            let newest = self.history[map].len() - 1;
            if self.chance.below(2) == 0 {
                *known += self.chance.below(newest - *known + 1);
            }
        }
    }

    fn damage(&mut self) {
        let map = 1 + self.chance.below(self.history.len() - 1);
        let content = (self.chance.below(2) == 0).then(|| b"{\"resources\":[]}".to_vec());
        if self.history[map].last().is_some_and(Option::is_some) {
            self.history[map].push(content);
        }
    }
}

fn simulate(seed: u64, writers: usize, damage: bool) {
    let chance = Chance(seed * 2 + 1);
    let mut world = World { history: empty_history(), published: BTreeMap::new(), chance };
    let mut wanted = many(25, 0);
    let mut views: Vec<View> = vec![newest(&world.history); writers];
    let mut readers: Vec<(View, Option<u64>)> = vec![(newest(&world.history), None); 3];
    for round in 1..60 {
        match world.chance.below(4) {
            0 => {
                let uid = world.chance.below(60);
                wanted.resources.retain(|found| found.uid != format!("u{uid}"));
                wanted.resources.push(resource(uid, round, world.chance.below(250)));
            }
            1 => {
                let count = 5 + world.chance.below(60);
                wanted.resources.truncate(count);
            }
            _ => {}
        }
        let writer = world.chance.below(writers);
        if world.chance.below(3) > 0 {
            // Its watch caught up, or another process took its place.
            views[writer] = newest(&world.history);
        }
        let mut view = std::mem::take(&mut views[writer]);
        world.act(&mut view, &wanted);
        views[writer] = view;
        if damage && world.chance.below(15) == 0 {
            world.damage();
        }
        let everything = newest(&world.history);
        if writers == 1 && !damage && everything[0] > 0 {
            assert!(read(&world.history, &everything).is_some(), "seed {seed}: nobody could start in round {round}");
        }
        for (view, last) in &mut readers {
            world.fetch(view);
            let Some(found) = read(&world.history, view) else { continue };
            assert_eq!(
                world.published.get(&found.generation),
                Some(&content(&found)),
                "seed {seed}, round {round}: generation {} was read mixed",
                found.generation
            );
            *last = Some(found.generation);
        }
    }
    run(&mut world.history, &wanted);
    let found = read(&world.history, &newest(&world.history)).expect("everything is there in the end");
    assert_eq!(content(&found), content(&wanted), "seed {seed}");
}

#[test]
fn no_reader_ever_has_a_mixed_set_and_one_can_start_at_any_moment() {
    (1..=40).for_each(|seed| simulate(seed, 1, false));
}

#[test]
fn no_reader_ever_has_a_mixed_set_when_two_write_and_people_damage_maps() {
    (1..=40).for_each(|seed| simulate(seed, 2, true));
}
