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
      // With memory durability a chunk may be unavailable for ever: its last member is suspect. The others wait as long as it takes.
      patience = -1;
      if (memory) { patience = 40; }
      announce eWriters, 3;
      new Writer((master = master, writer = 1, target = 4, patience = patience));
      new Writer((master = master, writer = 1, target = 5, patience = patience));
      new Writer((master = master, writer = 2, target = 4, patience = patience));
      if (faults > 0) { new Faults((servers = servers, master = master)); }
    }
  }
}

test param (mutation in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31],
            memory in [false, true], faults in [0, 8])
  tcAppend [main = World]:
  assert ExactlyOnce, WriterOrder, ReadersSeeOnlyCommitted, AbortedStaysAborted, Sequencing, Progress in
  { World, Faults, ChunkServer, Master, Writer, Timer, Delayed };
