//! Repeated measurements of one thing, and what is told of them.
//!
//! Invariant: pure; the samples stay in order of size.

use super::Figure;

/// Measurements of one thing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// The middle one; the mean of the two middle ones where their number is even; not a number where there is none.
    pub fn median(&self) -> f64 {
        let upper = self.0.len() / 2;
        let lower = self.0.len().saturating_sub(1) / 2;
        match (self.0.get(lower), self.0.get(upper)) {
            (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
            _ => f64::NAN,
        }
    }

    /// The median as a figure, with the least and the greatest where there are several.
    pub fn figure(
        &self,
        bench: &'static str,
        name: impl Into<String>,
        unit: &'static str,
    ) -> Figure {
        let figure = Figure::new(bench, name, unit, self.median());
        match (self.0.first(), self.0.last()) {
            (Some(low), Some(high)) if self.0.len() > 1 => figure.spread(*low, *high),
            _ => figure,
        }
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<T: IntoIterator<Item = f64>>(samples: T) -> Self {
        let mut all: Vec<f64> = samples.into_iter().collect();
        all.sort_by(f64::total_cmp);
        Self(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(all: &[f64]) -> Samples {
        all.iter().copied().collect()
    }

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        assert_eq!(samples(&[9.0, 1.0, 5.0]).median(), 5.0);
        assert_eq!(samples(&[9.0, 1.0, 5.0, 6.0]).median(), 5.5);
        assert_eq!(samples(&[3.0]).median(), 3.0);
        assert!(samples(&[]).median().is_nan());
    }

    #[test]
    fn the_spread_is_told_of_several() {
        let figure = samples(&[9.0, 1.0, 5.0]).figure("boot", "x", "ms");
        assert_eq!(figure, Figure::new("boot", "x", "ms", 5.0).spread(1.0, 9.0));
        assert_eq!(samples(&[9.0]).figure("boot", "x", "ms"), Figure::new("boot", "x", "ms", 9.0));
    }
}
