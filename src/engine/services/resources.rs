//! Resources of tasks, taken apart once: a machine has a few, its executions have many tasks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::asl::resource::Resource;

/// Of the machines that are busy at one time; beyond it all are taken apart again.
const KEPT_MAX: usize = 1_024;

/// The resources that one thread has taken apart.
#[derive(Default)]
pub(in crate::engine) struct Resources(RefCell<HashMap<Arc<str>, Rc<Resource>>>);

impl Resources {
    /// As [`Resource::parse`].
    pub fn parse(&self, arn: &Arc<str>) -> Option<Rc<Resource>> {
        if let Some(known) = self.0.borrow().get(arn) {
            return Some(Rc::clone(known));
        }
        let resource = Rc::new(Resource::parse(arn)?);
        let mut kept = self.0.borrow_mut();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(Arc::clone(arn), Rc::clone(&resource));
        Some(resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_given_again_and_room_is_bounded() {
        let (resources, arn) =
            (Resources::default(), |n: usize| Arc::from(format!("arn:aws:states:::sqs:sendMessage{n}")));
        let first = resources.parse(&arn(0)).unwrap();
        assert_eq!(Some(&*first), Resource::parse(&arn(0)).as_ref());
        assert!(Rc::ptr_eq(&first, &resources.parse(&arn(0)).unwrap()));
        assert_eq!(resources.parse(&Arc::from("no resource")), None);
        (1..=KEPT_MAX).for_each(|n| drop(resources.parse(&arn(n)).unwrap()));
        assert!(resources.0.borrow().len() <= KEPT_MAX);
        assert_eq!(resources.parse(&arn(0)), Some(first));
    }
}
