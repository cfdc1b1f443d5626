//! Restarts a container: through the unit that runs it, where one does, else through its engine.

use std::fmt;
use std::time::Duration;

use crate::actions::units::UnitOrder;
use crate::actions::{Action, ActionContext, ActionError, Basis, Done, IRREVERSIBLE, Undo};
use crate::core::model::action::ActionKind;
use crate::core::model::facts::Key;
use crate::core::model::proposal::Terms;
use crate::core::model::unit::UnitName;
use crate::core::reading::container_state::Inspected;
use crate::core::reading::wanted::NotWanted;
use crate::core::remedy::target::{self, TargetError};
use crate::host::clock::end_after;
use crate::services::Order;
use crate::services::engine::Engine;

const LOOK: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct RestartContainer {
    pub(super) name: String,
    /// The engine's own, another one with each new container of that name.
    pub(super) id: String,
    pub(super) unit: Option<UnitOrder>,
}

impl RestartContainer {
    pub fn of(basis: &Basis<'_>) -> Result<Self, TargetError> {
        let finding = basis.finding;
        let unit = match finding.fact(Key::Unit) {
            Some(_) => Some(UnitOrder::of(Order::Restart, basis)?),
            None => None,
        };
        Ok(Self {
            name: finding.subject.clone(),
            id: target::container(finding)?,
            unit,
        })
    }

    /// The engine that has it, and what that says of it now.
    fn find(&self, context: &ActionContext<'_>) -> Result<(Engine, Inspected), ActionError> {
        let mut last = None;
        for engine in Engine::present(context.host) {
            match engine.inspect(&self.id, end_after(LOOK)) {
                Ok(inspected) => return Ok((engine, inspected)),
                Err(why) if why.is_gone() || why.is_off() => {}
                Err(why) => last = Some(why),
            }
        }
        Err(match last {
            Some(why) => ActionError::gone(why.to_string()),
            None => ActionError::gone(format!("no engine has container {} any more", self.name)),
        })
    }
}

impl fmt::Display for RestartContainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            Some(order) => write!(f, "restart container {} by its unit: {order}", self.name),
            None => write!(f, "restart container {}", self.name),
        }
    }
}

impl Action for RestartContainer {
    fn kind(&self) -> ActionKind {
        ActionKind::RestartContainer
    }

    fn unit(&self) -> Option<&UnitName> {
        self.unit.as_ref()?.unit()
    }

    fn terms(&self, context: &ActionContext<'_>) -> Result<Terms, ActionError> {
        let terms = match &self.unit {
            Some(order) => order.terms(context)?,
            None => Terms::undone_by(IRREVERSIBLE),
        };
        Ok(terms.with("container", &self.name).with("id", &self.id))
    }

    /// It is the same container, and it is down or fails its check.
    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError> {
        let (_, now) = self.find(context)?;
        let name = &self.name;
        if now.name() != name {
            let other = now.name();
            return Err(ActionError::gone(format!("{name} is called {other} now")));
        }
        match (now.state(), now.health()) {
            ("running", "unhealthy") | ("exited", _) => {}
            ("running", _) => return Err(ActionError::gone(format!("{name} runs again"))),
            ("paused", _) => {
                let why = format!("{name} is paused: somebody holds it");
                return Err(ActionError::refused(why));
            }
            (state, _) => return Err(ActionError::gone(format!("{name} is {state}"))),
        }
        match &self.unit {
            Some(order) => order.precondition(context),
            None if now.is_removed_at_end() => {
                let why = format!("{name} is removed when it ends");
                Err(ActionError::refused(why))
            }
            None => Ok(()),
        }
    }

    fn unwanted(&self, context: &ActionContext<'_>) -> Result<Option<NotWanted>, ActionError> {
        match &self.unit {
            Some(order) => order.unwanted(context),
            None => Ok(None),
        }
    }

    fn undo_record(&self, _context: &ActionContext<'_>) -> Result<Undo, ActionError> {
        Ok(Undo::None)
    }

    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError> {
        if let Some(order) = &self.unit {
            return order.act(context);
        }
        let (engine, now) = self.find(context)?;
        engine
            .restart(&self.id, now.stop_timeout())
            .map_err(|why| ActionError::failed(why.to_string()))?;
        Ok(Done::new(format!("{self}: done")).noting("run before", now.run()))
    }
}
