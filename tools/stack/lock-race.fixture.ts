/** One of several threads that lock the same folders at the same moments. Counts the locks of each folder. */
import { workerData } from 'node:worker_threads'
import { lockDataDir } from './lock.ts'

const { dirs, threadCount, shared }: { dirs: string[]; threadCount: number; shared: SharedArrayBuffer } = workerData
const counts = new Int32Array(shared) // of arrivals, then of the locks of each folder

for (const [index, dir] of dirs.entries()) {
  Atomics.add(counts, 0, 1)
  while (Atomics.load(counts, 0) < threadCount * (index + 1));
  try {
    lockDataDir(dir)
    Atomics.add(counts, index + 1, 1)
  } catch (error) {
    if (!String(error).includes('already runs')) throw error
  }
}
