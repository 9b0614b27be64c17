import { oneAtATime } from "../../engines/readers.ts";
import type { Models } from "./models.ts";
import { Refused } from "./refused.ts";
import { addressFrom, addressText, type Address, type Kind, type Store } from "./store.ts";

/** Checkpoints on the disk, as requests name them. What changes them is done one after the other. */
export interface Checkpoints {
  /** The address of a checkpoint of one of these kinds. @throws Refused 400 for another kind; 404 for one that is not there */
  at(path: string, kinds: readonly Kind[]): Promise<Address>;
  /** Lets `work` write it, to be deleted in so many seconds from then; null: when somebody asks for it. */
  write(address: Address, lifetime: number | null, work: () => Promise<void>): Promise<void>;
  /** Says that it is deleted in so many seconds from now; null: when somebody asks for it. @throws Refused 404 */
  keepFor(address: Address, lifetime: number | null): Promise<void>;
  /** Deletes it. A model that would have to go on from it begins again as it began. @throws Refused 404 */
  remove(address: Address): Promise<void>;
  /** Deletes those whose time is over. */
  removeExpired(): Promise<void>;
}

export function checkpoints(store: Store, known: Pick<Models, "find" | "unsave">, onEvent: (sentence: string) => void): Checkpoints {
  const inTurn = oneAtATime();

  async function checkThere(address: Address): Promise<void> {
    if (!(await store.has(address))) throw new Refused(404, `There is no checkpoint ${addressText(address)}.`);
  }

  const expire = (address: Address, lifetime: number | null): Promise<void> =>
    store.expire(address, lifetime === null ? null : new Date(Date.now() + 1000 * lifetime));

  async function remove(address: Address): Promise<void> {
    const model = known.find(address.model);
    if (model && address.kind === "weights" && model.saved?.name === address.name) await known.unsave(model);
    await store.remove(address);
  }

  return {
    async at(path, kinds) {
      const address = addressFrom(path);
      if (!kinds.includes(address.kind))
        throw new Refused(400, `${path} does not hold what is asked for: give one of ${kinds.join(" or ")}.`);
      await checkThere(address);
      return address;
    },
    write: (address, lifetime, work) =>
      inTurn(async () => {
        await work();
        await expire(address, lifetime);
      }),
    keepFor: (address, lifetime) =>
      inTurn(async () => {
        await checkThere(address);
        await expire(address, lifetime);
      }),
    remove: (address) =>
      inTurn(async () => {
        await checkThere(address);
        await remove(address);
      }),
    removeExpired: () =>
      inTurn(async () => {
        for (const address of store.expired())
          await remove(address).catch((cause: unknown) => onEvent(`${addressText(address)} could not be deleted: ${String(cause)}`));
      }),
  };
}
