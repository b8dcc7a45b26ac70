//! What has to be changed, in order, with how each change is taken back.
//!
//! Pure. A plan is made anew from what is there, so it can be made as often as one likes: what is done is no longer in
//! it. What has to be true before the rest can be done is in `waits`.
//! Source: control-plane spec 5.

use serde_json::{Value, json};

use super::world::{Ref, World, number};

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) object: Ref,
    pub(super) change: Change,
    /// For a person.
    pub(super) why: &'static str,
    /// Absent: somebody makes it again, or nothing misses it.
    pub(super) undo: Option<Undo>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// A JSON merge patch.
    Merge(Value),
    Delete,
}

/// How a change is taken back.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Undo {
    /// A JSON merge patch.
    Merge(Value),
    /// The object as it was.
    Create(Value),
}

/// All that can be done now, and what is in the way of the rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) waits: Vec<String>,
    /// What a person should know.
    pub(super) notes: Vec<String>,
}

impl Plan {
    /// Nothing to do and nothing to wait for.
    pub(super) fn is_done(&self) -> bool {
        self.steps.is_empty() && self.waits.is_empty()
    }

    pub(super) fn wait(&mut self, what: impl Into<String>) {
        self.waits.push(what.into());
    }

    pub(super) fn note(&mut self, what: impl Into<String>) {
        self.notes.push(what.into());
    }

    pub(super) fn merge(&mut self, object: &Ref, patch: Value, undo: Option<Value>, why: &'static str) {
        let undo = undo.map(Undo::Merge);
        self.steps.push(Step { object: object.clone(), change: Change::Merge(patch), why, undo });
    }

    /// Scales to 0, if it is not there already; taken back to the number of before.
    pub(super) fn stop(&mut self, world: &World, object: &Ref, why: &'static str) {
        let Some(found) = world.get(object) else { return };
        // Absent means 1.
        let replicas = found.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
        if replicas > 0 {
            let scaled = |replicas: i64| json!({"spec": {"replicas": replicas}});
            self.merge(object, scaled(0), Some(scaled(replicas)), why);
        }
    }

    /// Deletes an object, if it is there; taken back by making it again.
    pub(super) fn delete(&mut self, world: &World, object: &Ref, why: &'static str) {
        let Some(found) = world.get(object) else { return };
        let undo = Some(Undo::Create(without_server_fields(found)));
        self.steps.push(Step { object: object.clone(), change: Change::Delete, why, undo });
    }

    /// Deletes an object that must not be kept in the journal, or that somebody makes again.
    pub(super) fn delete_for_good(&mut self, world: &World, object: &Ref, why: &'static str) {
        if world.get(object).is_some() {
            self.steps.push(Step { object: object.clone(), change: Change::Delete, why, undo: None });
        }
    }
}

/// Whether a workload has no pods left.
pub(super) fn is_stopped(world: &World, object: &Ref) -> bool {
    world.get(object).is_none_or(|found| {
        found.pointer("/spec/replicas").and_then(Value::as_i64) == Some(0) && number(found, "/status/replicas") == 0
    })
}

/// The object as it could be made again.
fn without_server_fields(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        if let Some(meta) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            let server = ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"];
            for field in server.iter().chain(&["deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences"]) {
                meta.remove(*field);
            }
        }
        if let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) {
            // Addresses of a Service are the server's to give.
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::super::world::{DEPLOYMENT, SERVICE};
    use super::*;

    fn world(value: Value) -> (World, Ref) {
        let mut world = World::default();
        world.add(DEPLOYMENT, value);
        let object = world.objects.keys().next().unwrap().clone();
        (world, object)
    }

    #[test]
    fn stopping_remembers_how_many_there_were_and_is_planned_once() {
        for (spec, before) in [(json!({"replicas": 3}), 3), (json!({}), 1)] {
            let (world, object) = world(json!({"metadata": {"name": "a", "namespace": "n"}, "spec": spec}));
            let mut plan = Plan::default();
            plan.stop(&world, &object, "");
            assert_eq!(plan.steps[0].change, Change::Merge(json!({"spec": {"replicas": 0}})));
            assert_eq!(plan.steps[0].undo, Some(Undo::Merge(json!({"spec": {"replicas": before}}))));
        }
        let (world, object) = world(json!({"metadata": {"name": "a", "namespace": "n"}, "spec": {"replicas": 0}}));
        let mut plan = Plan::default();
        plan.stop(&world, &object, "");
        assert!(plan.is_done());
    }

    #[test]
    fn a_deleted_object_is_kept_as_it_can_be_made_again() {
        let mut world = World::default();
        world.add(
            SERVICE,
            json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "labels": {"x": "y"}},
            "spec": {"clusterIP": "10.0.0.1", "ports": []}, "status": {}}),
        );
        let object = Ref::new(SERVICE, "n", "a");
        let mut plan = Plan::default();
        plan.delete(&world, &object, "");
        let kept = json!({"metadata": {"name": "a", "namespace": "n", "labels": {"x": "y"}}, "spec": {"ports": []}});
        assert_eq!(plan.steps[0].undo, Some(Undo::Create(kept)));
        plan.delete(&world, &Ref::new(SERVICE, "n", "gone"), "");
        assert_eq!(plan.steps.len(), 1, "what is not there needs no step");
    }
}
