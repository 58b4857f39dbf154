//! Choices of steps by number in each part of the table: respacing.

use crate::ScheduleError;
use std::str::FromStr;

/// How many steps a shorter run takes in each part of a discrete model.
///
/// Written as text, `"10,15,20"` takes so many steps in each third of the table, `"ddim25"` takes
/// exactly 25 by one whole stride. Dhariwal and Nichol 2021's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Respacing {
    /// The table is cut into as many equal sections as there are numbers (the first ones take what is
    /// left over), cleanest first; each gives its number of evenly spread steps, both ends included.
    Sections(Vec<usize>),
    /// Every `k`-th step from the first, for the smallest whole `k` that gives this many.
    Stride(usize),
}

impl Respacing {
    /// The chosen indices, noisiest first; none at all when every section asks for none.
    ///
    /// # Errors
    /// When a section is asked for more steps than it has, there is no section, or no whole stride
    /// gives the number asked for.
    pub fn indices(&self, available: usize) -> Result<Vec<usize>, ScheduleError> {
        let mut indices = match self {
            Self::Sections(counts) => sections(available, counts)?,
            Self::Stride(steps) => stride(available, *steps)?,
        };
        indices.reverse();
        Ok(indices)
    }
}

fn sections(available: usize, counts: &[usize]) -> Result<Vec<usize>, ScheduleError> {
    if counts.is_empty() {
        return Err(ScheduleError::StepsOutOfRange { steps: 0, available });
    }
    let (size, extra) = (available / counts.len(), available % counts.len());
    let (mut indices, mut start) = (Vec::new(), 0);
    for (section, &steps) in counts.iter().enumerate() {
        let size = size + usize::from(section < extra);
        if steps > size {
            return Err(ScheduleError::SectionTooShort { section, steps, available: size });
        }
        let stride = if steps > 1 { (size - 1) as f64 / (steps - 1) as f64 } else { 1.0 };
        let mut offset = 0.0_f64;
        for _ in 0..steps {
            indices.push(start + offset.round_ties_even() as usize);
            offset += stride; // added up as published, since a tie is decided by its rounding
        }
        start += size;
    }
    Ok(indices)
}

fn stride(available: usize, steps: usize) -> Result<Vec<usize>, ScheduleError> {
    let found = (1..available).find(|stride| available.div_ceil(*stride) == steps);
    let stride = found.ok_or(ScheduleError::NoStride { steps, available })?;
    Ok((0..available).step_by(stride).collect())
}

impl FromStr for Respacing {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| {
            let bad = |_| ScheduleError::BadRespacing { text: text.to_owned() };
            part.trim().parse::<usize>().map_err(bad)
        };
        match text.strip_prefix("ddim") {
            Some(steps) => Ok(Self::Stride(number(steps)?)),
            None => Ok(Self::Sections(text.split(',').map(number).collect::<Result<_, _>>()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, available: usize, expected: &[usize]) {
        let mut indices = text.parse::<Respacing>().unwrap().indices(available).unwrap();
        indices.reverse();
        assert_eq!(indices, expected, "{text} of {available}");
    }

    #[test]
    fn sections_include_both_of_their_ends() {
        check("3,4", 101, &[0, 25, 50, 51, 67, 84, 100]);
        check("2", 1000, &[0, 999]);
        check("1", 1000, &[0]);
        check("7", 7, &[0, 1, 2, 3, 4, 5, 6]);
        check("2, 0, 2", 30, &[0, 9, 20, 29]);
    }

    #[test]
    fn a_stride_is_the_smallest_that_gives_the_number() {
        check("ddim5", 10, &[0, 2, 4, 6, 8]);
        check("ddim7", 1000, &[0, 143, 286, 429, 572, 715, 858]);
        assert_eq!("ddim30".parse::<Respacing>().unwrap().indices(1000).unwrap()[28], 34);
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_both_numbers() {
        let error = "10,11".parse::<Respacing>().unwrap().indices(20).unwrap_err();
        assert_eq!(error.to_string(), "section 1 has 10 steps, 11 were asked for");
        let error = "ddim600".parse::<Respacing>().unwrap().indices(1000).unwrap_err();
        assert_eq!(error.to_string(), "no whole stride takes exactly 600 of 1000 steps");
        let error = "10,x".parse::<Respacing>().unwrap_err();
        assert!(error.to_string().starts_with("respacing \"10,x\""), "{error}");
        assert!("".parse::<Respacing>().is_err());
        assert!(Respacing::Sections(vec![]).indices(10).is_err());
        assert!(Respacing::Stride(1).indices(10).is_err());
    }
}
