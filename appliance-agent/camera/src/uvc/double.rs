//! A video node that is none: says what it is told to, fails when it is told to, and keeps what was set.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Mutex, MutexGuard};

use agent_v4l2::{ControlNode, QueryExtCtrl, TYPE_INTEGER};

/// A number's description.
pub fn number(id: u32, minimum: i64, maximum: i64, step: u64) -> QueryExtCtrl {
    QueryExtCtrl { id, kind: TYPE_INTEGER, minimum, maximum, step, ..QueryExtCtrl::default() }
}

#[derive(Default)]
struct Inside {
    controls: BTreeMap<u32, (QueryExtCtrl, i32)>,
    failing_queries: BTreeMap<u32, i32>,
    /// For the next calls of `get` and `set`, in order.
    failures: VecDeque<i32>,
    unplugged: bool,
    sets: Vec<Vec<(u32, i32)>>,
}

pub struct Double(Mutex<Inside>);

impl Double {
    pub fn new(controls: impl IntoIterator<Item = QueryExtCtrl>) -> Self {
        let controls = controls.into_iter().map(|query| (query.id, (query, query.default_value as i32))).collect();
        Self(Mutex::new(Inside { controls, ..Inside::default() }))
    }

    pub fn fail_query(&self, id: u32, errno: i32) {
        self.inside().failing_queries.insert(id, errno);
    }

    pub fn fail_next(&self, errnos: &[i32]) {
        self.inside().failures.extend(errnos);
    }

    pub fn unplug(&self) {
        self.inside().unplugged = true;
    }

    /// What was set, call by call, since the last time.
    pub fn take_sets(&self) -> Vec<Vec<(u32, i32)>> {
        std::mem::take(&mut self.inside().sets)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }
}

fn errno(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

impl Inside {
    fn check(&mut self) -> io::Result<()> {
        if self.unplugged {
            return Err(errno(nix::libc::ENODEV));
        }
        self.failures.pop_front().map_or(Ok(()), |number| Err(errno(number)))
    }
}

impl ControlNode for Double {
    fn query(&self, id: u32) -> io::Result<QueryExtCtrl> {
        let inside = self.inside();
        if let Some(number) = inside.failing_queries.get(&id) {
            return Err(errno(*number));
        }
        inside.controls.get(&id).map(|(query, _)| *query).ok_or_else(|| errno(nix::libc::EINVAL))
    }

    fn get(&self, ids: &[u32]) -> io::Result<Vec<i32>> {
        let mut inside = self.inside();
        inside.check()?;
        let value = |id| inside.controls.get(id).map(|(_, value)| *value).ok_or_else(|| errno(nix::libc::EINVAL));
        ids.iter().map(value).collect()
    }

    /// As the kernel does: a value beyond the range or beside the grid is `ERANGE`, and then nothing is set.
    fn set(&self, values: &[(u32, i32)]) -> io::Result<()> {
        let mut inside = self.inside();
        inside.check()?;
        for (id, value) in values {
            let (query, _) = inside.controls.get(id).ok_or_else(|| errno(nix::libc::EINVAL))?;
            let value = i64::from(*value);
            let beside = query.step > 0 && (value - query.minimum).unsigned_abs() % query.step != 0;
            if !(query.minimum..=query.maximum).contains(&value) || beside {
                return Err(errno(nix::libc::ERANGE));
            }
        }
        for (id, value) in values {
            if let Some((_, kept)) = inside.controls.get_mut(id) {
                *kept = *value;
            }
        }
        inside.sets.push(values.to_vec());
        Ok(())
    }
}
