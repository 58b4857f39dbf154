//! Where the public sets are, how large their files are, and what they sum to.

use std::{fmt, str::FromStr};

use crate::error::DatasetError;

/// A public data set that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FetchSet {
    /// Handwritten digits, 70000 of 28x28 (`LeCun`, Cortes, Burges).
    Mnist,
    /// Clothes, 70000 of 28x28 (Xiao, Rasul, Vollgraf).
    FashionMnist,
    /// Small colour photographs, 60000 of 32x32 (Krizhevsky).
    Cifar10,
}

/// One file of a set.
#[derive(Debug, Clone, Copy)]
pub(super) struct RemoteFile {
    /// Its name, at the server and on disk.
    pub(super) name: &'static str,
    /// Its size.
    pub(super) bytes: u64,
    /// Its sha256 sum in lower-case hex.
    pub(super) sha256: &'static str,
}

/// A set as it is published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    /// Address that the file names are appended to.
    pub(super) base: &'static str,
    /// The files.
    pub(super) files: &'static [RemoteFile],
    /// The folder inside the one file, when that is an archive.
    pub(super) unpacks_to: Option<&'static str>,
}

impl FetchSet {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mnist, Self::FashionMnist, Self::Cifar10];

    /// What the set is called on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar10",
        }
    }

    /// The public address its files are fetched from.
    #[must_use]
    pub fn base(self) -> &'static str {
        self.source().base
    }

    pub(super) fn source(self) -> Source {
        match self {
            Self::Mnist => MNIST,
            Self::FashionMnist => FASHION_MNIST,
            Self::Cifar10 => CIFAR10,
        }
    }
}

impl fmt::Display for FetchSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FetchSet {
    type Err = DatasetError;

    fn from_str(name: &str) -> Result<Self, DatasetError> {
        Self::ALL
            .into_iter()
            .find(|set| set.name() == name)
            .ok_or_else(|| DatasetError::UnknownSet { name: name.to_owned() })
    }
}

/// The mirror that torchvision uses; the original server no longer gives the files.
const MNIST: Source = Source {
    base: "https://ossci-datasets.s3.amazonaws.com/mnist",
    files: &[
        RemoteFile {
            name: "train-images-idx3-ubyte.gz",
            bytes: 9_912_422,
            sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        },
        RemoteFile {
            name: "train-labels-idx1-ubyte.gz",
            bytes: 28_881,
            sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        },
        RemoteFile {
            name: "t10k-images-idx3-ubyte.gz",
            bytes: 1_648_877,
            sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        },
        RemoteFile {
            name: "t10k-labels-idx1-ubyte.gz",
            bytes: 4_542,
            sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ],
    unpacks_to: None,
};

/// The address that the README of zalandoresearch/fashion-mnist gives.
const FASHION_MNIST: Source = Source {
    base: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    files: &[
        RemoteFile {
            name: "train-images-idx3-ubyte.gz",
            bytes: 26_421_880,
            sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        },
        RemoteFile {
            name: "train-labels-idx1-ubyte.gz",
            bytes: 29_515,
            sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        },
        RemoteFile {
            name: "t10k-images-idx3-ubyte.gz",
            bytes: 4_422_102,
            sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        },
        RemoteFile {
            name: "t10k-labels-idx1-ubyte.gz",
            bytes: 5_148,
            sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ],
    unpacks_to: None,
};

/// The author's own page.
const CIFAR10: Source = Source {
    base: "https://www.cs.toronto.edu/~kriz",
    files: &[RemoteFile {
        name: "cifar-10-binary.tar.gz",
        bytes: 170_052_171,
        sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    }],
    unpacks_to: Some("cifar-10-batches-bin"),
};
