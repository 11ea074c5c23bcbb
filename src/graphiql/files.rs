//! The third-party browser files of the `GraphiQL` page, pinned by content. The
//! build script and the server read the same table.

/// One file of an npm package.
pub struct PinnedFile {
    /// `name@version`, as `npm pack` and the CDN spell it.
    pub package: &'static str,
    /// Where the file lies inside the package.
    pub path: &'static str,
    /// SHA-256 of its content, in the form of an `integrity` attribute.
    pub integrity: &'static str,
}

impl PinnedFile {
    /// Its address below `/graphiql/` and below the CDN's root.
    pub fn address(&self) -> String {
        format!("{}/{}", self.package, self.path)
    }
}

/// In the order in which the page loads them: `GraphiQL` looks for React when it
/// starts. React 18 and `GraphiQL` 4 are the last releases with files that a
/// browser can load without a bundler.
pub const FILES: [PinnedFile; 7] = [
    PinnedFile {
        package: "react@18.3.1",
        path: "umd/react.production.min.js",
        integrity: "sha256-2Unxw2h67a3O2shSYYZfKbF80nOZfn9rK/xTsvnUxN0=",
    },
    PinnedFile {
        package: "react@18.3.1",
        path: "LICENSE",
        integrity: "sha256-UkEte8fOQVfqYou6rLiCngqcs8WPV/mRdhJryM8r/IU=",
    },
    PinnedFile {
        package: "react-dom@18.3.1",
        path: "umd/react-dom.production.min.js",
        integrity: "sha256-NfT5dPSyvNRNpzljNH+JUuNB+DkJ5EmCJ9Tia5j2bw0=",
    },
    PinnedFile {
        package: "react-dom@18.3.1",
        path: "LICENSE",
        integrity: "sha256-UkEte8fOQVfqYou6rLiCngqcs8WPV/mRdhJryM8r/IU=",
    },
    PinnedFile {
        package: "graphiql@4.1.2",
        path: "graphiql.min.css",
        integrity: "sha256-MEh+B2NdMSpj9kexQNN3QKc8UzMrCXW/Sx/phcpuyIU=",
    },
    PinnedFile {
        package: "graphiql@4.1.2",
        path: "graphiql.min.js",
        integrity: "sha256-hnImuor1znlJkD/FOTL3jayfS/xsyNoP04abi8bFJWs=",
    },
    PinnedFile {
        package: "graphiql@4.1.2",
        path: "LICENSE",
        integrity: "sha256-Sxj75VxOj5Fpy3Ar4Tj02Fii2tkgw5hXIE/9ycHJ/cQ=",
    },
];
