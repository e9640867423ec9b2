"""A simulated production line: rotating machines with faults on a seeded schedule, and the truth about them.

Pure numpy, no I/O, no state that matters: a block of any stream is a function of (seed, machine, index) alone, so that
a restarted source continues exactly, and a test may compute any moment again.

The physics, as far as a detector would notice:

* shaft: a closed-form phase with 0.1 % of slow wander; run-down and run-up at stops; harmonics whose acceleration goes
  with the square of the speed;
* structure: three damped modes per direction (one at 3-4 kHz, near the bearing), excited by broadband noise;
* outer-race fault: one impact per rolling element that passes the defect (ball pass frequency, outer race), with random
  slip and random strength under the load (McFadden and Smith, J. Sound and Vibration 96, 1984; Randall and Antoni,
  Mechanical Systems and Signal Processing 25, 2011): small beside the noise in RMS, plain in the envelope spectrum;
* imbalance: the 1x acceleration of the radial directions grows (ISO 20816 judges the same thing as velocity);
* drift: a process value creeps away linearly; dropout: a sensor delivers nothing, or one value for ever; clock jump:
  the source's time stamps step and later step back.
"""
