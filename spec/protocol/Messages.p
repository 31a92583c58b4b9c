// Messages, named as in src/Semel.Protocol/Messages. A reply that carries nothing is left out: whoever asked asks again.

enum tAppendStatus { COMMITTED, ALREADY_COMMITTED, SEALED, NOT_PRIMARY, RETRY, OUT_OF_ORDER, UNKNOWN_WRITER, FENCED, BUSY }
enum tVoteStatus { VOTED, VOTE_STALE, NEED_VIEW, GAP, NEED_FRAMES, IO_ERROR }

// ---------------------------------------------------------------- client to primary

// `generation` belongs to the client: its number of sendings. A reply brings the whole call back.
type tAppend = (client: machine, handle: int, knownBallot: int, writer: int, epoch: int, sequence: int, generation: int);

event eAppend: tAppend;
event eInitWriter: tAppend;
event eAppendReply: (call: tAppend, status: tAppendStatus, ballot: int, place: tPlace, lastSequence: int);

// ---------------------------------------------------------------- primary to secondary

event ePrepare: (sender: machine, handle: int, ballot: int, offset: int, frames: seq[tFrame], committed: int);
event eNewView: (sender: machine, handle: int, ballot: int, lineage: seq[tStretch], tail: int, baseDigest: tTable, framesFrom: int, frames: seq[tFrame]);
// `asked`: the ballot of the message that is answered.
event eVote: (voter: machine, handle: int, asked: int, status: tVoteStatus, durable: int);

// ---------------------------------------------------------------- master to chunk server, chunk server to chunk server

event eCreateChunk: (handle: int, index: int, base: tChunkBase);
event eCreateChunkReply: (server: machine, handle: int);
event ePromise: (handle: int, version: int);
event ePromiseReply: (member: machine, handle: int, version: int, suspect: bool);
event eGrant: (handle: int, version: int, members: set[machine], seal: bool);
event eSealChunk: (handle: int, version: int);
event eConfirmSeal: (handle: int, version: int, length: int);
event eFetchBase: (asker: machine, handle: int, length: int, digest: tTable, wantedFor: int);
event eFetchBaseReply: (wantedFor: int, table: tTable);

// ---------------------------------------------------------------- chunk server to master

event eSealed: (sender: machine, handle: int, version: int, length: int, baseDigest: tTable);
event eSuspect: (sender: machine, handle: int, version: int, member: machine);

// ---------------------------------------------------------------- client to master

event eRegisterWriter: (client: machine, writer: int);
event eRegisterWriterReply: (epoch: int);
event eLocateTail: (client: machine, question: int, suspectHandle: int, suspectVersion: int);
event eLocateTailReply: (question: int, handle: int, index: int, version: int, primary: machine);

// ---------------------------------------------------------------- what happens inside of a machine, and to it

event eMaster: machine;
event eFlushEnded: (handle: int, generation: int, upTo: int);
event eSetTimer: int;
event eTick;
event eNoAnswer: int;                      // a client's patience has ended: for the sending or question of this number

event eKill;                               // the process dies; the page cache stays
event ePowerLoss;                          // the machine dies; what no flush covered may be gone
event eDieMidway;                          // as one of these two, in the middle of one of the next steps
event eLeaseOver;
event eDiskFull;
event eMasterCrash;
event eReplacePrimary;                     // the master changes its mind for no reason
event eEndChunk;
