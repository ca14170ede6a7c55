/** Accounts in Postgres. */
import { randomUUID } from 'node:crypto'
import type { User as PublicUser } from '@shop/contracts/user'
import { Prisma, type PrismaClient, type User } from '../prisma/client/client.ts'

export type Account = User

export function createAccountStore(prisma: PrismaClient) {
  return { add, byEmail, byId, rename }

  /** `email-taken` when another account has the address, also when it is being made at this very moment. */
  async function add(account: { email: string; name: string; passwordHash: string }): Promise<Account | 'email-taken'> {
    try {
      return await prisma.user.create({ data: { id: randomUUID(), ...account } })
    } catch (error) {
      if (error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002') return 'email-taken'
      throw error
    }
  }

  function byEmail(email: string): Promise<Account | null> {
    return prisma.user.findUnique({ where: { email } })
  }

  function byId(id: string): Promise<Account | null> {
    return prisma.user.findUnique({ where: { id } })
  }

  async function rename(id: string, name: string): Promise<Account | undefined> {
    const [account] = await prisma.user.updateManyAndReturn({ where: { id }, data: { name } })
    return account
  }
}

export type AccountStore = ReturnType<typeof createAccountStore>

/** What may leave the service: everything but the hash. */
export function publicUser({ id, email, name, role, createdAt }: Account): PublicUser {
  return { id, email, name, role: role === 'admin' ? 'admin' : 'customer', createdAt: createdAt.toISOString() }
}
