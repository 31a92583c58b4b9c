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

event eCreateChunk: (handle: int, index: int, base: tChunkBase, life: int);
event eCreateChunkReply: (server: machine, handle: int);
event ePromise: (handle: int, version: int);
// NOT_FOUND is a reply of its own.
event eNotFound: (member: machine, handle: int, version: int, life: int);
event ePromiseReply: (member: machine, handle: int, version: int, suspect: bool, life: int, tail: int, committed: int);
event eGrant: (handle: int, version: int, members: set[machine], seal: bool);
event eSealChunk: (handle: int, version: int);
event eConfirmSeal: (handle: int, version: int, length: int);
event eFetchBase: (asker: machine, handle: int, length: int, digest: tTable, wantedFor: int);
event eFetchBaseReply: (wantedFor: int, table: tTable);

// ---------------------------------------------------------------- chunk server to master

event eSealed: (sender: machine, handle: int, version: int, length: int, baseDigest: tTable);
event eSuspect: (sender: machine, handle: int, version: int, member: machine);

// A server registers, and reports all that it has, each time that it or the master has started. That and the reports of what has changed
// are repeated until they are answered, in their order: in the model they are not lost. `life`: how often the disk was replaced by an empty
// one. Nothing that was sent to or by the process before is heard any more (connections end with it).
event eRegister: (server: machine, life: int);
event eRegisterAgain;
event eReport: tReport;
event eReportEnds: machine;

// ---------------------------------------------------------------- repair

event eCloneChunk: (handle: int, version: int, length: int, sources: set[machine]);
event eReadFrames: (asker: machine, handle: int, version: int, length: int);
event eReadFramesReply: (handle: int, version: int, length: int, index: int, base: tTable, log: seq[tFrame]);
event eDeleteChunk: (handle: int, onlyIfPromisedBelow: int, onlyIfSealedAt: int);

// ---------------------------------------------------------------- client to master

event eRegisterWriter: (client: machine, writer: int);
event eRegisterWriterReply: (epoch: int);
event eLocateTail: (client: machine, question: int, suspectHandle: int, suspectVersion: int);
event eLocateTailReply: (question: int, handle: int, index: int, version: int, primary: machine);

// ---------------------------------------------------------------- reading: from whoever has all of a sealed chunk, from the open chunk's primary

type tLocation = (handle: int, version: int, sealedLength: int, holders: set[machine], settledEnd: int);      // settledEnd -1: nobody can tell

event eLocateChunks: (reader: machine, question: int, complains: bool);
event eLocateChunksReply: (question: int, chunks: seq[tLocation]);
// Of an open chunk the end is believed only from the primary of this version. 0: any replica will do.
event eRead: (reader: machine, question: int, handle: int, version: int);
event eReadReply: (question: int, handle: int, frames: seq[tFrame]);

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
event eStop: bool;                         // the process ends and nobody starts it; true: the machine has lost its power
event eStart;
event eDiskDies: bool;                     // for ever; true: the server is started with an empty one
event eForget;                              // its disk has lost the last frames of some logs, and shows it nowhere
event eSilent: machine;                    // the master misses its heartbeats
event eGraceOver: (member: machine, isGone: bool);         // member_grace has passed; isGone: after each start of the master it will again
event eOperatorDecides: machine;
event eReplacePrimary;                     // the master changes its mind for no reason
event eEndChunk;
