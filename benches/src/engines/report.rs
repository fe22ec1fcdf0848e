//! The table of the engines: what Nimbus and each peer reached, and whether the aim is met.

use super::phases::{Aim, Phase, Unit};
use super::side::Side;
use crate::table::Table;

/// What everybody reached in a phase; who could not take part is not here.
#[derive(Default)]
pub(super) struct Standing {
    pub(super) nimbus: Option<f64>,
    /// By name.
    pub(super) peers: Vec<(String, f64)>,
}

impl Standing {
    /// Adds what one side reached.
    pub(super) fn add(&mut self, side: Side, figure: f64) {
        match side {
            Side::Nimbus(_) => self.nimbus = Some(figure),
            Side::Peer(kind) => self.peers.push((kind.name().to_owned(), figure)),
        }
    }
}

/// Rows and remarks of all phases.
pub(super) struct Report {
    table: Table,
}

impl Report {
    /// An empty report about Nimbus on a provider.
    pub(super) fn new(provider: &str) -> Self {
        let nimbus = format!("Nimbus on {provider}");
        let columns = ["phase (median)", "unit", &nimbus, "peer", "peer's", "Nimbus / peer", "aim"];
        Self { table: Table::new(&columns) }
    }

    /// Adds a phase, a row for each peer. The aim stands with the peer that it is about, the best.
    pub(super) fn phase(&mut self, &Phase { name, unit, aim }: &Phase, standing: &Standing) {
        let nimbus = standing.nimbus.unwrap_or(f64::NAN);
        let shown = |value: f64| format!("{value:.*}", unit.decimals);
        let best = best(unit, &standing.peers);
        for (index, (peer, theirs)) in standing.peers.iter().enumerate() {
            let ratio = format!("{:.2}", nimbus / theirs);
            let verdict =
                if best == Some(index) { verdict(unit, nimbus, *theirs, aim) } else { String::new() };
            self.table.row(&[name, unit.name, &shown(nimbus), peer, &shown(*theirs), &ratio, &verdict]);
        }
        if standing.peers.is_empty() {
            let verdict = verdict(unit, nimbus, f64::NAN, aim);
            self.table.row(&[name, unit.name, &shown(nimbus), "", "", "", &verdict]);
        }
    }

    /// Adds a remark about a phase.
    pub(super) fn note(&mut self, phase: &Phase, text: &str) {
        self.table.note(phase.name, text);
    }

    /// Prints everything as Markdown.
    pub(super) fn print(&self) {
        self.table.print();
    }
}

/// Which of the peers is the best.
fn best(unit: Unit, peers: &[(String, f64)]) -> Option<usize> {
    let worth = |index: &usize| if unit.more_is_better { peers[*index].1 } else { -peers[*index].1 };
    (0..peers.len()).max_by(|one, other| worth(one).total_cmp(&worth(other)))
}

fn verdict(unit: Unit, nimbus: f64, best: f64, aim: Aim) -> String {
    let said = |is_met| if is_met { "met" } else { "missed" };
    match aim {
        _ if nimbus.is_nan() => String::new(),
        Aim::TimesBest(_) if best.is_nan() => String::new(),
        Aim::TimesBest(times) => {
            let reached = if unit.more_is_better { nimbus / best } else { best / nimbus };
            format!("≥ {times} × best peer: {} ({reached:.2})", said(reached >= times))
        }
        Aim::AtMost(most) => {
            format!("≤ {most} {}: {} ({nimbus:.*})", unit.name, said(nimbus <= most), unit.decimals)
        }
        Aim::None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::phases::{MILLISECONDS, PER_SECOND};
    use super::*;

    #[test]
    fn the_aim_is_measured_at_the_best_peer() {
        let peers = [("a".to_owned(), 10.0), ("b".to_owned(), 20.0)];
        assert_eq!(best(PER_SECOND, &peers), Some(1));
        assert_eq!(best(MILLISECONDS, &peers), Some(0));
        assert_eq!(best(PER_SECOND, &[]), None);
    }

    #[test]
    fn an_aim_is_met_or_missed_in_the_direction_of_its_unit() {
        let of = |unit, nimbus, best, aim| verdict(unit, nimbus, best, aim);
        assert_eq!(of(PER_SECOND, 30.0, 20.0, Aim::TimesBest(1.5)), "≥ 1.5 × best peer: met (1.50)");
        assert_eq!(of(PER_SECOND, 20.0, 30.0, Aim::TimesBest(1.5)), "≥ 1.5 × best peer: missed (0.67)");
        assert_eq!(of(MILLISECONDS, 20.0, 40.0, Aim::TimesBest(2.0)), "≥ 2 × best peer: met (2.00)");
        assert_eq!(of(MILLISECONDS, 61.0, 0.1, Aim::AtMost(60.0)), "≤ 60 ms: missed (61.0)");
        assert_eq!(of(MILLISECONDS, 60.0, 0.1, Aim::AtMost(60.0)), "≤ 60 ms: met (60.0)");
    }
}
