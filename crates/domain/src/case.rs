//! Everything that one decision may look at, loaded before it and compared when it is committed.

use crate::event::Event;
use crate::ids::{EnvironmentName, Millis, ServiceName};
use crate::people::People;
use crate::release::Release;
use crate::service::Service;

/// The whole case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Case {
    /// The release it is about; nothing if it doesn't exist.
    pub release: Option<Release>,
    /// The state of its service.
    pub service: Service,
    /// Above which number fences go on, if the database was restored; see [`crate::restore`].
    pub fences_above: u64,
    /// What the configuration says of the service and environment; nothing if it isn't configured.
    pub target: Option<Target>,
    /// The people around it.
    pub people: People,
}

/// A configured service and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// Its IANA zone.
    pub time_zone: String,
    /// Whether Git can be asked for its tags.
    pub has_repository: bool,
}

impl Case {
    /// Folds one event into the states of the case.
    pub fn evolve(&mut self, event: &Event, at_ms: Millis) {
        if event.service_stream().is_some() {
            self.service.evolve(event);
        } else if let Some(release) = &mut self.release {
            release.evolve(event, at_ms);
        } else {
            self.release = Release::begin(event, at_ms);
        }
    }
}
