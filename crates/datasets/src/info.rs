//! What is in a data set, in numbers.

use std::fmt;

use crate::dataset::Dataset;

/// Counts, shape and value range of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    /// What the set is called.
    pub name: String,
    /// Number of images.
    pub count: usize,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Number of values a pixel can take.
    pub levels: u32,
    /// Lowest and highest pixel there is; `None` without images.
    pub range: Option<(u8, u8)>,
    /// Mean pixel, in levels; 0 without images.
    pub mean: f64,
    /// Name of each class and number of its images; empty without labels.
    pub per_class: Vec<(String, usize)>,
}

impl Dataset {
    /// Counts the set.
    #[must_use]
    pub fn info(&self) -> Info {
        let mut per_class: Vec<_> =
            self.class_names().iter().map(|name| (name.clone(), 0)).collect();
        for &label in self.labels().unwrap_or_default() {
            per_class[label as usize].1 += 1;
        }
        let pixels = self.images();
        let sum: u64 = pixels.iter().map(|&pixel| u64::from(pixel)).sum();
        Info {
            name: self.name().to_owned(),
            count: self.len(),
            shape: self.shape(),
            levels: self.levels(),
            range: pixels.iter().min().copied().zip(pixels.iter().max().copied()),
            mean: sum as f64 / pixels.len().max(1) as f64,
            per_class,
        }
    }
}

impl fmt::Display for Info {
    /// A few lines for a person to read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [channels, height, width] = self.shape;
        writeln!(f, "images   {}", self.count)?;
        writeln!(f, "shape    {channels} x {height} x {width} (channels, height, width)")?;
        writeln!(f, "levels   {} (0 to {})", self.levels, self.levels - 1)?;
        if let Some((low, high)) = self.range {
            writeln!(f, "values   {low} to {high}, mean {:.2}", self.mean)?;
        }
        if self.per_class.is_empty() {
            return write!(f, "classes  none (no labels)");
        }
        write!(f, "classes  {}", self.per_class.len())?;
        let widest = self.per_class.iter().map(|(name, _)| name.chars().count()).max();
        for (name, count) in &self.per_class {
            write!(f, "\n  {name:widest$}  {count}", widest = widest.unwrap_or(0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Dataset, digits};

    #[test]
    fn the_digits_are_counted() {
        let info = digits().unwrap().info();
        assert_eq!((info.count, info.shape, info.levels), (1797, [1, 8, 8], 17));
        assert_eq!(info.range, Some((0, 16)));
        // The mean of sklearn's copy.
        assert!((info.mean - 4.884).abs() < 5e-4, "{}", info.mean);
        assert_eq!(info.per_class[8], ("8".to_owned(), 174));
    }

    #[test]
    fn info_reads_well() {
        let set = Dataset::new("two", vec![3, 9], [1, 1, 1], 17).unwrap();
        let text = "images   2\nshape    1 x 1 x 1 (channels, height, width)\nlevels   17 (0 to 16)\n\
                    values   3 to 9, mean 6.00\nclasses  none (no labels)";
        assert_eq!(set.info().to_string(), text);
        let named = vec!["cat".to_owned(), "horse".to_owned()];
        let set = set.with_labels(vec![1, 1], named).unwrap();
        assert!(set.info().to_string().ends_with("classes  2\n  cat    0\n  horse  2"));
        assert_eq!(set.select(&[]).unwrap().info().range, None);
    }
}
