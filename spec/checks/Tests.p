// The world of one schedule: four chunk servers, one master, a writer in two incarnations and another writer, faults at any moment.

enum tFault { KILL, POWER_LOSS, DEATH_MIDWAY, DISK_FULL, LEASE_OVER, MASTER_CRASH, REPLACE_PRIMARY, END_CHUNK }

machine Faults {
  var servers: set[machine];
  var master: machine;
  var kinds: seq[int];                                     // of this schedule: a few, so that they meet
  var left: int;
  var pause: int;
  var struck: machine;                                     // what failed once fails again
  var powerless: machine;                                  // with memory durability: the only machine that loses its power

  start state Striking {
    entry (p: (servers: set[machine], master: machine)) {
      servers = p.servers;
      master = p.master;
      left = faults;
      pause = 30;
      powerless = choose(servers);
      while (sizeof(kinds) < 3) { kinds += (0, choose(8)); }
      send this, eTick;
    }
    on eTick do {
      if (choose(pause) == 0) {
        if (left == 0) { raise halt; }
        left = left - 1;
        Strike(choose(kinds));
        pause = 4;                                         // misfortunes never come singly
        if ($) { pause = 60; }
      }
      send this, eTick;
    }
  }

  fun Strike(kind: int) {
    if (struck == null || $) { struck = choose(servers); }
    if (kind == (POWER_LOSS to int) && memory) { struck = powerless; }
    if (kind == (KILL to int)) { send struck, eKill; }
    else if (kind == (POWER_LOSS to int)) { send struck, ePowerLoss; }
    else if (kind == (DEATH_MIDWAY to int)) { send struck, eDieMidway; }
    else if (kind == (DISK_FULL to int)) { send struck, eDiskFull; }
    else if (kind == (LEASE_OVER to int)) { send struck, eLeaseOver; }
    else if (kind == (MASTER_CRASH to int)) { send master, eMasterCrash; }
    else if (kind == (REPLACE_PRIMARY to int)) { send master, eReplacePrimary; }
    else { send master, eEndChunk; }
  }
}

// Everything stops, by and by or at once, and comes back one by one, in any order and arbitrarily far apart; then once more, perhaps. Meanwhile the disk of
// one server dies for ever, and the server stays away or comes back with an empty one. The grace of a member is over when it will never come
// back; in the late world, when it likes. In the world of the operator he decides as early and as badly as he may.
machine ColdStart {
  var servers: set[machine];
  var master: machine;
  var up: set[machine];
  var down: set[machine];
  var rounds: int;
  var pause: int;
  var doomed: machine;                                     // null: its disk has died
  var unheard: machine;                                    // gone for ever, and its grace is not over yet

  start state Waiting {
    entry (p: (servers: set[machine], master: machine)) {
      servers = p.servers;
      master = p.master;
      up = servers;
      rounds = 1 + choose(2);
      doomed = choose(servers);
      pause = 60;
      send this, eTick;
    }
    on eTick do {
      if (choose(pause) == 0) {
        pause = 8;
        if (choose(3) == 0) { pause = 80; }
        if (rounds == 0 && sizeof(down) == 0 && unheard == null) { raise halt; }
        if (unheard != null && $) {
          send master, eGraceOver, (member = unheard, isGone = true);
          unheard = null;
        }
        else if (rounds > 0 && sizeof(down) == 0) { StopAll(); }
        else if (doomed != null && choose(4) == 0 && world != (FORGETFUL to int)) { KillDisk(); }
        else if (world == (RECOVER to int) && sizeof(up) > 0 && $) { send master, eOperatorDecides, choose(up); }
        else if (world != (COLD_START to int) && choose(3) == 0) { EndGraces(); }
        else if (sizeof(down) > 0) { StartOne(); }
      }
      send this, eTick;
    }
  }

  fun StopAll() {
    var server: machine;
    var powerIsLost: bool;
    rounds = rounds - 1;
    powerIsLost = $;
    foreach (server in up) {
      send server, eStop, powerIsLost;
      down += (server);
    }
    up = default(set[machine]);
    send master, eMasterCrash;
    if (world == (FORGETFUL to int)) { send doomed, eForget; }
  }

  fun EndGraces() {
    var server: machine;
    foreach (server in servers) {
      if (server in down || choose(4) == 0) { send master, eGraceOver, (member = server, isGone = false); }
    }
  }

  fun StartOne() {
    var server: machine;
    server = choose(down);
    if (world == (FORGETFUL to int) && doomed in down && $) { server = doomed; }
    down -= (server);
    up += (server);
    send server, eStart;
  }

  fun KillDisk() {
    var isReplaced: bool;
    isReplaced = $;
    if (doomed in down) { down -= (doomed); }
    else { up -= (doomed); }
    send master, eSilent, doomed;
    send doomed, eDiskDies, isReplaced;
    if (isReplaced) { up += (doomed); }
    else { unheard = doomed; }
    doomed = null;
  }
}

machine World {
  start state Made {
    entry {
      var servers: set[machine];
      var server: machine;
      var master: machine;
      var patience: int;
      while (sizeof(servers) < 4) { servers += (new ChunkServer()); }
      master = new Master(servers);
      foreach (server in servers) { send server, eMaster, master; }
      // With memory durability a chunk may be unavailable for ever: its last member is suspect. When members are too late, too. Otherwise they wait as long as
      // it takes.
      patience = -1;
      if (memory) { patience = 40; }
      if (world > (COLD_START to int)) { patience = 25; }
      new Writer((master = master, writer = 1, target = 4, patience = patience));
      new Writer((master = master, writer = 2, target = 4, patience = patience));
      announce eWriters, 3;
      if (world == (USUAL to int)) { new Writer((master = master, writer = 1, target = 5, patience = patience)); }
      else {
        new Reader((master = master, patience = patience));
        foreach (server in servers) { send server, eRegisterAgain; }
        new ColdStart((servers = servers, master = master));
      }
      if (faults > 0) { new Faults((servers = servers, master = master)); }
    }
  }
}

test param (mutation in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31],
            memory in [false, true], world in [0], faults in [0, 8])
  tcAppend [main = World]:
  assert ExactlyOnce, WriterOrder, ReadersSeeOnlyCommitted, AbortedStaysAborted, Sequencing, Progress in
  { World, Faults, ColdStart, ChunkServer, Master, Writer, Reader, Timer, Delayed };

test param (mutation in [0, 32, 33, 34, 35, 36, 37], memory in [false], world in [1], faults in [3])
  tcColdStart [main = World]:
  assert ExactlyOnce, WriterOrder, ReadersSeeOnlyCommitted, AbortedStaysAborted, Sequencing, NoSilentLoss, Kept, Progress in
  { World, Faults, ColdStart, ChunkServer, Master, Writer, Reader, Timer, Delayed };

test param (mutation in [0, 32, 33, 34, 35, 36, 37], memory in [false], world in [2], faults in [3])
  tcLate [main = World]:
  assert ExactlyOnce, WriterOrder, ReadersSeeOnlyCommitted, AbortedStaysAborted, Sequencing, NoSilentLoss, Kept in
  { World, Faults, ColdStart, ChunkServer, Master, Writer, Reader, Timer, Delayed };

// Whoever decided for a worse copy has been shown the others. What remains is that what he gave up is kept.
test param (mutation in [0, 32, 33, 34, 35, 36, 37], memory in [false], world in [3], faults in [3])
  tcRecover [main = World]:
  assert NoSilentLoss, Kept in
  { World, Faults, ColdStart, ChunkServer, Master, Writer, Reader, Timer, Delayed };

// A replica may have less than was acknowledged, and nobody be there who has more. When he comes it is kept.
test param (mutation in [0, 32, 33, 34, 35, 36, 37], memory in [false], world in [4], faults in [3])
  tcForgetful [main = World]:
  assert Kept in
  { World, Faults, ColdStart, ChunkServer, Master, Writer, Reader, Timer, Delayed };
