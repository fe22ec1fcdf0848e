//! Preferred numbers, to which `$bucketAuto` rounds its boundaries (manual, "`$bucketAuto`", "Granularity").
//!
//! Promises: rounding up gives a greater number and rounding down a lesser one, of the same series; zero
//! stays zero. Deliberately unknown: buckets.

/// A series of preferred numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Granularity {
    /// The series within one decade, from its first number up to, and without, ten times that.
    Decade(Vec<f64>),
    /// 1, 2, 4, 8 and so on, fractions too.
    PowersOfTwo,
}

/// The Renard series R80 (ISO 3), in hundredths; the coarser series are every second of it, every fourth,
/// and so on.
const R80: [f64; 80] = [
    100.0, 103.0, 106.0, 109.0, 112.0, 115.0, 118.0, 122.0, 125.0, 128.0, 132.0, 136.0, 140.0, 145.0, 150.0,
    155.0, 160.0, 165.0, 170.0, 175.0, 180.0, 185.0, 190.0, 195.0, 200.0, 206.0, 212.0, 218.0, 224.0, 230.0,
    236.0, 243.0, 250.0, 258.0, 265.0, 272.0, 280.0, 290.0, 300.0, 307.0, 315.0, 325.0, 335.0, 345.0, 355.0,
    365.0, 375.0, 387.0, 400.0, 412.0, 425.0, 437.0, 450.0, 462.0, 475.0, 487.0, 500.0, 515.0, 530.0, 545.0,
    560.0, 580.0, 600.0, 615.0, 630.0, 650.0, 670.0, 690.0, 710.0, 730.0, 750.0, 775.0, 800.0, 825.0, 850.0,
    875.0, 900.0, 925.0, 950.0, 975.0,
];

/// The E24 series (IEC 60063), in tenths; E12 and E6 are every second and every fourth of it.
const E24: [f64; 24] = [
    10.0, 11.0, 12.0, 13.0, 15.0, 16.0, 18.0, 20.0, 22.0, 24.0, 27.0, 30.0, 33.0, 36.0, 39.0, 43.0, 47.0,
    51.0, 56.0, 62.0, 68.0, 75.0, 82.0, 91.0,
];

impl Granularity {
    /// The series of that name.
    pub(super) fn of(name: &str) -> Option<Self> {
        let every = |step: usize, series: &[f64], unit: f64| {
            Some(Self::Decade(series.iter().step_by(step).map(|number| number / unit).collect()))
        };
        match name {
            "R5" => every(16, &R80, 100.0),
            "R10" => every(8, &R80, 100.0),
            "R20" => every(4, &R80, 100.0),
            "R40" => every(2, &R80, 100.0),
            "R80" => every(1, &R80, 100.0),
            "1-2-5" => Some(Self::Decade(vec![1.0, 2.0, 5.0])),
            "E6" => every(4, &E24, 10.0),
            "E12" => every(2, &E24, 10.0),
            "E24" => every(1, &E24, 10.0),
            "E48" => every(4, &e192(), 100.0),
            "E96" => every(2, &e192(), 100.0),
            "E192" => every(1, &e192(), 100.0),
            "POWERSOF2" => Some(Self::PowersOfTwo),
            _ => None,
        }
    }

    /// The least number of the series that is greater.
    pub(super) fn round_up(&self, number: f64) -> f64 {
        if number == 0.0 || !number.is_finite() {
            return number;
        }
        match self {
            Self::PowersOfTwo => 2_f64.powf(number.log2().floor() + 1.0),
            Self::Decade(series) => {
                let mut decade = decade_of(number);
                loop {
                    if let Some(next) =
                        series.iter().map(|preferred| scaled(*preferred, decade)).find(|next| *next > number)
                    {
                        return next;
                    }
                    decade += 1;
                }
            }
        }
    }

    /// The greatest number of the series that is less.
    pub(super) fn round_down(&self, number: f64) -> f64 {
        if number == 0.0 || !number.is_finite() {
            return number;
        }
        match self {
            Self::PowersOfTwo => 2_f64.powf(number.log2().ceil() - 1.0),
            Self::Decade(series) => {
                let mut decade = decade_of(number);
                loop {
                    let below = series.iter().rev().map(|preferred| scaled(*preferred, decade));
                    if let Some(last) = below.into_iter().find(|last| *last < number) {
                        return last;
                    }
                    decade -= 1;
                }
            }
        }
    }
}

/// A decade at or below that of the number, so that the search ends after two.
fn decade_of(number: f64) -> i32 {
    number.log10().floor() as i32
}

fn scaled(preferred: f64, decade: i32) -> f64 {
    // Dividing by a power of ten is exact where multiplying with a negative power is not.
    if decade < 0 { preferred / 10_f64.powi(-decade) } else { preferred * 10_f64.powi(decade) }
}

/// The E192 series in hundredths, which has one number that its formula does not give.
fn e192() -> Vec<f64> {
    (0..192_u16)
        .map(|at| match at {
            185 => 920.0,
            at => (10_f64.powf(f64::from(at) / 192.0) * 100.0).round(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_round_away_from_their_numbers() {
        for (name, number, down, up) in [
            ("R5", 1.0, 0.63, 1.6),
            ("R10", 3.2, 3.15, 4.0),
            ("R20", 1120.0, 1000.0, 1250.0),
            ("1-2-5", 10.0, 5.0, 20.0),
            ("1-2-5", 0.3, 0.2, 0.5),
            ("E6", 7.0, 6.8, 10.0),
            ("E24", 9.5, 9.1, 10.0),
            ("E192", 9.2, 9.09, 9.31),
            ("POWERSOF2", 8.0, 4.0, 16.0),
            ("POWERSOF2", 9.0, 8.0, 16.0),
        ] {
            let series = Granularity::of(name).unwrap();
            assert_eq!((series.round_down(number), series.round_up(number)), (down, up), "{name} {number}");
            assert_eq!((series.round_down(0.0), series.round_up(0.0)), (0.0, 0.0));
        }
        assert_eq!(Granularity::of("R7"), None);
    }

    #[test]
    fn the_least_and_greatest_numbers_end_the_search() {
        for name in ["R80", "E192", "POWERSOF2", "1-2-5"] {
            let series = Granularity::of(name).unwrap();
            for number in [f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::INFINITY, f64::NAN] {
                series.round_up(number);
                series.round_down(number);
            }
        }
    }
}
