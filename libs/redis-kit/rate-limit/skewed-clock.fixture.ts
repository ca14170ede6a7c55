/** Loaded with --import: the clock of the whole process is wrong by CLOCK_SHIFT_MS. */
const shiftMs = Number(process.env.CLOCK_SHIFT_MS)
const realNow = Date.now
const { timeOrigin } = performance
Date.now = () => realNow() + shiftMs
Object.defineProperty(performance, 'timeOrigin', { get: () => timeOrigin + shiftMs })
