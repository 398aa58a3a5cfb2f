//! Which state a call needs, and its slots: made, made anew, measured.

use crate::record::{Data, Type};
use crate::sql::plan::{AggregateCall, AggregateFunction as Function};

use super::{Accumulator, State};

impl Accumulator {
    /// The state for a call, or why there is none.
    pub(in crate::query) fn new(call: &AggregateCall) -> Result<Accumulator, String> {
        let of = call.arg_types.first().unwrap_or(&Type::Null);
        let data = Data::of(of, 0);
        let unknown = || Err(format!("{:?} of {of} is not supported", call.function));
        let state = match (&call.function, &data) {
            (Function::Count, _) => State::Count(Vec::new()),
            (Function::Sum, Data::Int(_)) => State::SumInt(Default::default()),
            (Function::Sum, Data::Float(_)) => State::SumFloat(Default::default()),
            (Function::Sum, Data::Double(_)) => State::SumDouble(Default::default()),
            (Function::Sum, Data::Decimal(_)) => State::SumDecimal(Default::default()),
            (Function::Avg, Data::Int(_)) => State::MeanInt(Default::default()),
            (Function::Avg, Data::Float(_) | Data::Double(_)) => State::MeanDouble(Default::default()),
            (Function::Avg, Data::Decimal(_)) => State::MeanDecimal(Default::default()),
            (Function::Min | Function::Max, data) => match data {
                Data::Bool(_) => State::BestBool(Default::default()),
                Data::Int(_) => State::BestInt(Default::default()),
                Data::Float(_) => State::BestFloat(Default::default()),
                Data::Double(_) => State::BestDouble(Default::default()),
                Data::Decimal(_) => State::BestDecimal(Default::default()),
                Data::Text(_) => State::BestText(Default::default()),
                Data::Bytes(_) | Data::Values(_) => return unknown(),
            },
            (Function::FirstValue | Function::LastValue, _) => State::Pick(Default::default()),
            (Function::ListAgg { .. }, Data::Text(_)) => State::List(Default::default()),
            (Function::StddevPop | Function::StddevSamp | Function::VarPop | Function::VarSamp, Data::Int(_)) => {
                State::IntMoments(Default::default())
            }
            (
                Function::StddevPop | Function::StddevSamp | Function::VarPop | Function::VarSamp,
                Data::Float(_) | Data::Double(_) | Data::Decimal(_),
            ) => State::Moments(Default::default()),
            (Function::ApproxCountDistinct, _) => State::Distinct(Vec::new()),
            (Function::Percentile { .. }, Data::Int(_) | Data::Float(_) | Data::Double(_) | Data::Decimal(_)) => {
                State::Quantiles(Vec::new())
            }
            (Function::Collect, _) => State::Collect(Vec::new()),
            (Function::JsonArray, Data::Text(_)) => State::List(Default::default()),
            (Function::JsonObject, Data::Text(_)) => State::Object(Vec::new()),
            _ => return unknown(),
        };
        Ok(Accumulator { call: call.clone(), state, heap: 0 })
    }

    /// MAX and LAST_VALUE, against MIN and FIRST_VALUE.
    pub(super) fn is_max(&self) -> bool {
        matches!(self.call.function, Function::Max | Function::LastValue)
    }

    pub(super) fn separator(&self) -> String {
        match &self.call.function {
            Function::ListAgg { separator } => separator.clone(),
            Function::JsonArray => ",".to_owned(),
            _ => String::new(),
        }
    }

    /// Makes room for this many groups.
    pub(in crate::query) fn resize(&mut self, slots: u32) {
        let slots = slots as usize;
        match &mut self.state {
            State::Count(counts) => counts.resize(slots, 0),
            State::SumInt(f) | State::BestInt(f) => f.resize(slots),
            State::SumFloat(f) | State::BestFloat(f) => f.resize(slots),
            State::SumDouble(f) | State::BestDouble(f) => f.resize(slots),
            State::SumDecimal(f) | State::BestDecimal(f) => f.resize(slots),
            State::MeanInt(m) => m.resize(slots),
            State::MeanDouble(m) => m.resize(slots),
            State::MeanDecimal(m) => m.resize(slots),
            State::BestBool(f) => f.resize(slots),
            State::BestText(f) => f.resize(slots),
            State::Pick(f) => f.values.resize(slots, crate::record::Value::Null),
            State::List(f) => f.resize(slots),
            State::Moments(m) => m.resize(slots),
            State::IntMoments(m) => m.resize(slots),
            State::Distinct(sketches) => sketches.resize(slots, Default::default()),
            State::Quantiles(sketches) => sketches.resize(slots, Default::default()),
            State::Collect(bags) => bags.resize(slots, Default::default()),
            State::Object(objects) => objects.resize(slots, Default::default()),
        }
        if let State::Pick(f) = &mut self.state {
            f.has.resize(slots, false);
        }
    }

    /// The group's state is as before its first row.
    pub(in crate::query) fn reset(&mut self, group: u32) {
        self.heap = self.heap.saturating_sub(self.heap_of(group));
        let at = group as usize;
        match &mut self.state {
            State::Count(counts) => counts[at] = 0,
            State::SumInt(f) | State::BestInt(f) => f.reset(group),
            State::SumFloat(f) | State::BestFloat(f) => f.reset(group),
            State::SumDouble(f) | State::BestDouble(f) => f.reset(group),
            State::SumDecimal(f) | State::BestDecimal(f) => f.reset(group),
            State::MeanInt(m) => m.reset(group),
            State::MeanDouble(m) => m.reset(group),
            State::MeanDecimal(m) => m.reset(group),
            State::BestBool(f) => f.reset(group),
            State::BestText(f) => f.reset(group),
            State::Pick(f) => {
                f.has[at] = false;
                f.values[at] = crate::record::Value::Null;
            }
            State::List(f) => f.reset(group),
            State::Moments(m) => m.reset(group),
            State::IntMoments(m) => m.reset(group),
            State::Distinct(sketches) => sketches[at] = Default::default(),
            State::Quantiles(sketches) => sketches[at] = Default::default(),
            State::Collect(bags) => bags[at] = Default::default(),
            State::Object(objects) => objects[at] = Default::default(),
        }
    }

    /// About the bytes of all groups' state.
    pub(in crate::query) fn heap(&self, slots: u32) -> usize {
        let each = match &self.state {
            State::Count(_) => 8,
            State::SumInt(_) | State::BestInt(_) | State::SumDouble(_) | State::BestDouble(_) => 9,
            State::SumFloat(_) | State::BestFloat(_) => 5,
            State::SumDecimal(_) | State::BestDecimal(_) | State::BestText(_) => 17,
            State::MeanInt(_) | State::MeanDouble(_) => 16,
            State::MeanDecimal(_) | State::Moments(_) | State::IntMoments(_) => 24,
            State::BestBool(_) => 2,
            State::Pick(_) => 33,
            State::List(_) => 25,
            State::Distinct(_) | State::Quantiles(_) => 24,
            State::Collect(_) => 96,
            State::Object(_) => 32,
        };
        each * slots as usize + self.heap
    }

    /// What a group has on the heap beside the columns.
    pub(super) fn heap_of(&self, group: u32) -> usize {
        let at = group as usize;
        match &self.state {
            State::BestText(f) => f.values[at].len(),
            State::Pick(f) => value_heap(&f.values[at]),
            State::List(f) => f.values[at].capacity(),
            State::Distinct(sketches) => sketches[at].heap(),
            State::Quantiles(sketches) => sketches[at].heap(),
            State::Collect(bags) => bags[at].heap(),
            State::Object(objects) => objects[at].heap(),
            _ => 0,
        }
    }
}

fn value_heap(value: &crate::record::Value) -> usize {
    use crate::record::Value;
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(values) | Value::Row(values) => values.iter().map(|v| 32 + value_heap(v)).sum(),
        Value::Map(pairs) => pairs.iter().map(|(k, v)| 64 + value_heap(k) + value_heap(v)).sum(),
        _ => 0,
    }
}
