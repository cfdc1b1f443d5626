//! Words of trouble and of its absence, by what they say. A class weighs once, however many of its words a line has.

/// Words with one sense.
pub(super) struct Sense {
    /// Added where one of them occurs.
    pub weight: i16,
    /// Added where one of them opens the line.
    pub first: i16,
    /// Each of these alone makes a line worth weighing. `a+b` are two words in a row that count as one.
    pub trouble: &'static str,
    /// The same sense, and ordinary as well.
    pub others: &'static str,
}

/// How many of [`CLASSES`] are senses of trouble.
pub(super) const SENSES: usize = 15;

/// The first [`SENSES`] are senses of trouble: two of them in one line are surer than one.
pub(super) const CLASSES: &[Sense] = &[
    // Inability.
    Sense {
        weight: 7,
        first: 6,
        trouble: "cannot can't couldn't unable can+not could+not",
        others: "",
    },
    // Failing.
    Sense {
        weight: 4,
        first: 4,
        trouble: "fail failed fails failing failure failures",
        others: "",
    },
    // The word itself.
    Sense {
        weight: 7,
        first: 6,
        trouble: "error errors errored",
        others: "",
    },
    // What ends a program.
    Sense {
        weight: 2,
        first: 2,
        trouble: "exception exceptions traceback panic panicked fatal critical crash crashed abort aborted \
            aborting aborts assertion assert segfault segmentation bug emergency severe \
            uncaught",
        others: "unhandled",
    },
    // What is not as it should be.
    Sense {
        weight: 6,
        first: 2,
        trouble: "invalid illegal bad wrong incorrect incorrectly improper improperly corrupt \
            corrupted corruption damaged broken garbled unparsable unparseable inaccessible \
            unusable",
        others: "malformed misconfigured bogus inconsistent mismatch mismatched mismatches ambiguous truncated incomplete",
    },
    // What nobody expected.
    Sense {
        weight: 1,
        first: 6,
        trouble: "unknown unexpected unexpectedly unsupported undefined \
            uninitialized unimplemented unreadable nonexistent",
        others: "unavailable unrecognised unrecognized unresolved unspecified",
    },
    // What is not there.
    Sense {
        weight: 1,
        first: 2,
        trouble: "missing absent lacks lacking",
        others: "",
    },
    // A demand.
    Sense {
        weight: -3,
        first: 0,
        trouble: "mustn't shouldn't",
        others: "must required requires require must+not",
    },
    // A verb that is denied.
    Sense {
        weight: -6,
        first: 0,
        trouble: "didn't doesn't isn't aren't wasn't weren't hasn't haven't don't wouldn't does+not did+not \
            is+not are+not was+not were+not do+not has+not have+not would+not",
        others: "",
    },
    // A denial.
    Sense {
        weight: -2,
        first: -1,
        trouble: "not never",
        others: "neither nor",
    },
    // Absence.
    Sense {
        weight: -6,
        first: 2,
        trouble: "no without",
        others: "",
    },
    // A refusal.
    Sense {
        weight: -4,
        first: 0,
        trouble: "refused refuses refusing denied denies rejected reject rejects rejecting forbidden \
            unauthorized disallowed prohibited violation violates",
        others: "",
    },
    // A limit.
    Sense {
        weight: -1,
        first: 3,
        trouble: "exceeded exceeds exceed overflow overflowed underrun underflow too oversized",
        others: "insufficient exhausted full",
    },
    // Time that ran out.
    Sense {
        weight: -3,
        first: 0,
        trouble: "timeout timed expired expire",
        others: "stale deadline",
    },
    // A link that is gone.
    Sense {
        weight: -5,
        first: 0,
        trouble: "lost unreachable disconnect",
        others: "reset hung stuck dead interrupted",
    },
    // A refusal to come.
    Sense {
        weight: -2,
        first: 0,
        trouble: "",
        others: "won't will+not",
    },
    // An end that may be wanted.
    Sense {
        weight: -3,
        first: 0,
        trouble: "",
        others: "disconnected disconnecting dropped dropping drop closed killed terminated stopped",
    },
    // What is there twice.
    Sense {
        weight: -1,
        first: 0,
        trouble: "",
        others: "already duplicate duplicated duplicates conflict conflicts conflicting only exists",
    },
    // The program goes on without it.
    Sense {
        weight: -7,
        first: -3,
        trouble: "",
        others: "ignoring ignored ignore ignores skipping skipped skip falling fallback defaulting default \
            defaults instead assuming assume anyway anyways continuing continue proceeding recovered \
            recovering harmless nonfatal suppressed tolerated discarding discard dropping non-fatal \
            not+fatal",
    },
    // It is tried again.
    Sense {
        weight: -6,
        first: 0,
        trouble: "",
        others: "retry retrying retries retried trying try tries again later attempting attempt attempts \
            reconnect reconnecting errno+4 errno+11 errno+115",
    },
    // Something else is used.
    Sense {
        weight: -6,
        first: 0,
        trouble: "",
        others: "using use used",
    },
    // A condition or an intention.
    Sense {
        weight: -2,
        first: 0,
        trouble: "",
        others: "will would may might should could can if unless whether until",
    },
    // The circumstance.
    Sense {
        weight: 3,
        first: 0,
        trouble: "",
        others: "when while during after before because since",
    },
    // Work that goes on.
    Sense {
        weight: -4,
        first: -3,
        trouble: "",
        others: "starting started start waiting wait checking check restarting restart stopping shutting \
            shutdown running loading updating polling closing removing removed sending sent received \
            receiving connecting connected processing next",
    },
    // Success.
    Sense {
        weight: -5,
        first: 0,
        trouble: "",
        others: "success successful successfully ok okay done completed finished ready errno+0",
    },
    // A switch.
    Sense {
        weight: -4,
        first: 0,
        trouble: "",
        others: "enabled disabled enabling disabling enable disable active inactive",
    },
    // Somebody else's doing.
    Sense {
        weight: -5,
        first: -8,
        trouble: "",
        others: "client clients peer peers user users remote request requests requested login password \
            session sender caller",
    },
    // Now and before.
    Sense {
        weight: -6,
        first: 0,
        trouble: "",
        others: "longer previous previously last current currently now",
    },
    // An appeal to the reader.
    Sense {
        weight: -2,
        first: -5,
        trouble: "",
        others: "please report check see ensure make sure verify",
    },
    // Memory.
    Sense {
        weight: 2,
        first: 0,
        trouble: "",
        others: "memory allocate allocating allocation malloc alloc calloc",
    },
    // Files and reading.
    Sense {
        weight: 2,
        first: 0,
        trouble: "",
        others: "file files directory path open opening read reading write writing load loading parse parsing \
            format decode decoding",
    },
    // Settings.
    Sense {
        weight: 4,
        first: 0,
        trouble: "",
        others: "config configuration option options parameter parameters argument arguments value syntax \
            line key field",
    },
    // What was to be done.
    Sense {
        weight: 2,
        first: 0,
        trouble: "",
        others: "create creating initialize initializing init initialise set setting get getting add adding \
            register update delete execute execute run find",
    },
    // Auxiliaries.
    Sense {
        weight: -2,
        first: 0,
        trouble: "",
        others: "was were been had has have is are be",
    },
    // A thing that has trouble in its name.
    Sense {
        weight: 0,
        first: 0,
        trouble: "",
        others: "error+counter error+counters error+rate error+rates error+handler error+handlers error+correction \
            error+statistics error+budget exception+handler exception+handlers failure+rate panic+handler \
            crash+reporter",
    },
    // A type that is thrown: `ValueError`, `java.io.IOException`, by the end of its name.
    Sense {
        weight: 6,
        first: 4,
        trouble: "thrown=type",
        others: "",
    },
    // Phrases: what was to be done.
    Sense {
        weight: 6,
        first: 0,
        trouble: "",
        others: "failed=to failure=to fails=to",
    },
    // Phrases: time.
    Sense {
        weight: 5,
        first: 0,
        trouble: "",
        others: "timed=out",
    },
    // Phrases: absence with an object.
    Sense {
        weight: 3,
        first: 0,
        trouble: "",
        others: "no=such",
    },
    // Phrases: what was looked for.
    Sense {
        weight: 2,
        first: 0,
        trouble: "",
        others: "not=found not=available",
    },
    // Phrases: it goes on in another way.
    Sense {
        weight: -3,
        first: 0,
        trouble: "",
        others: "falling=back fall=back not=exist",
    },
    // Phrases: no more.
    Sense {
        weight: -2,
        first: 0,
        trouble: "",
        others: "no=longer",
    },
    // What the system answered: errno texts and names, as libc, Go, Rust, Java, Node and Python spell them.
    Sense {
        weight: 6,
        first: 0,
        trouble: "such=file such=device such=process such=host permission=denied connection=refused space=left \
            read-only=file input/output=error i/o=error i/o=timeout allocate=memory \
            network=unreachable is=unreachable host=unreachable no=route bad=file broken=pipe reset=by \
            address=already address=in many=open deadline=exceeded unexpected=eof name=resolution \
            service=not not+known assign=requested function=not errno os=error connection=timed operation=timed \
            enoent eacces eperm eio enospc erofs emfile enfile enomem eaddrinuse eaddrnotavail \
            econnrefused econnreset econnaborted epipe etimedout ehostunreach enetunreach enetdown \
            enodev enxio enotdir enotempty ebusy einval enotconn ebadf enotfound eai_again eproto \
            enosys edquot estale eisdir eexist efault emsgsize enobufs eremoteio eilseq erange",
        others: "of=memory eagain temporarily=unavailable resource=busy system=call invalid=argument exit=status \
            context=canceled protocol=error file=exists operation=not",
    },
    // Of these, what a host does not get over by itself.
    Sense {
        weight: 15,
        first: 0,
        trouble: "space=left enospc erofs read-only=file many=open emfile address=already address=in \
            eaddrinuse input/output=error eio edquot",
        others: "",
    },
    // Of these, what may pass.
    Sense {
        weight: 4,
        first: 0,
        trouble: "connection=refused econnrefused no=route ehostunreach enetunreach network=unreachable \
            is=unreachable",
        others: "",
    },
];
